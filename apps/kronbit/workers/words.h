// A command written as one text, such as --launch "srun -N1 --comment='a b'", split as a shell splits it, whether there
// is such a program, and words as a shell reads them back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kronbit::app {

/// Words at blanks; '...' keeps everything, "..." everything but \" and \\, a backslash outside the next character.
/// Nothing is expanded: no variables, no wildcards. Throws: InputError naming `where` for a quote that is not closed.
std::vector<std::string> split_words(std::string_view text, std::string_view where);

/// `word` as a shell takes it for one: as it is, or in quotes: 'o'\''clock'.
std::string shell_word(const std::string& word);

/// Whether a shell would find such a program: a path, or a name in a folder of PATH.
bool is_program(const std::string& name);

}  // namespace kronbit::app
