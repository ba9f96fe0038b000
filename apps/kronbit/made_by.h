// What a run was made by: program, commit, compiler, processor, threads. A journal notes it beside the settings; it is
// not compared on resume, where numerics (evaluation/numerics.h) are what has to be the same.
#pragma once

#include <string>
#include <vector>

#include "tensor/io/json.h"

namespace kronbit::app {

/// What `git describe --always --dirty` said of the sources when the program was built; "unknown" without git.
/// commit.cmake writes it.
const char* program_commit();

/// {"version", "commit", "compiler", "cpu", "threads"} of this process.
Json made_by();

/// made_by() of everything that has written a journal, in order; none for journals from before it was noted.
std::vector<Json> makers_of(const std::vector<Json>& lines);
/// "kronbit 0.1.0 (09ee728, g++ 12.2.0) on AMD EPYC 9645 96-Core Processor, 2 threads". Throws: InputError.
std::string maker_text(const Json& by);

/// What --version prints: the version alone on the first line.
std::string version_text();

}  // namespace kronbit::app
