// The pictures of a folder before any is used: damaged ones are refused, or left out with --skip-bad. And what a run
// remembers of a picture that turned out to be damaged while it ran.
//
// A look reads the whole file and walks through its structure, to the end; it decodes nothing, so a few damages (an
// unusual encoding, pixels that do not unpack) still show only when the picture is used. 10,000 JPEG files of 110 kB
// take 1.1 s of one processor when they are in memory (AVX-512 server, 2 cores); from a disk, the time to read 1.1 GB.
#pragma once

#include <string>
#include <vector>

#include "apps/kronbit/options/common.h"

namespace kronbit::app {

/// Damaged pictures that --skip-bad leaves out at most: their names live in the journal's first line. Where there are
/// more, something else is wrong with the folder.
inline constexpr int64_t kMostLeftOut = 1000;

/// Looks at every picture of `sets`, those that a command is about to read. Throws: InputError with the first five that
/// are damaged and how many there are, in one line; Error when a signal has come. Does nothing where open_data() has
/// looked already and left them out.
void check_pictures(const DataOptions& options, const std::vector<data::Dataset>& sets);
/// Names of the damaged pictures of `sets`, in bytewise order, told on stderr with their number. Throws: InputError when
/// there are more than kMostLeftOut, or a name that no journal can hold.
std::vector<std::string> find_left_out(const std::vector<data::Dataset>& sets);

/// What the journal of a run with these options says was left out when it began; nothing where no run has begun or it
/// does not skip pictures. Settings have it as "skip_bad".
std::optional<std::vector<std::string>> left_out_by(const std::vector<Json>& journal);

/// The line of the journal about a picture that could not be decoded.
Json input_line(const data::DamagedImage& picture);
/// The data's fingerprint; that which a run with this journal began with, and keeps as `key` of its settings, where
/// nothing but pictures differ that its lines of the event "input" name: no result depends on them, so the run can go on
/// after the repair.
std::string fingerprint_of(const DataOptions& options, int64_t input_size, const data::Splits& splits,
                           const std::vector<Json>& journal, const char* key);

}  // namespace kronbit::app
