// A locale whose numbers have a decimal comma, made where a test runs: few systems have one installed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace kronbit {

/// Makes the locale "comma" for processes whose LOCPATH is `folder`. False where the C library's tool does not.
inline bool make_comma_locale(const std::filesystem::path& folder) {
  std::ofstream(folder / "ascii") << "CHARMAP\n<U0000>..<U007F> /x00 ASCII\nEND CHARMAP\n";
  std::ofstream(folder / "source") << "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\n"
                                      "END LC_NUMERIC\n";
  const std::string in = "'" + folder.string() + "/";
  const std::string command = "localedef -c -f " + in + "ascii' -i " + in + "source' " + in + "comma' > /dev/null 2>&1";
  // It warns of the categories that are missing, and ends with 1.
  return std::system(command.c_str()) != -1 && std::filesystem::exists(folder / "comma" / "LC_NUMERIC");
}

}  // namespace kronbit
