// Between an explorer and its evaluations: what accompanies a job on stdin, and the marked lines that come back on
// stdout among anything a launcher prints there. stdin stays open for as long as the explorer lives.
//
//   in   the job, with  "attended": {"program": .., "folder": .., "numerics": {..}}
//   out  kronbit-begins {"host": .., "pid": ..}            from here on time counts
//   out  kronbit-result {"result": {..}}                   of run_job()
//        kronbit-result {"fault": "refused", "reason": ..}
//        kronbit-result {"fault": "input", "reason": .., "picture": .., "bytes": ..}     the last two of a damaged one
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "apps/kronbit/evaluation/evaluation.h"
#include "apps/kronbit/evaluation/numerics.h"

namespace kronbit::app {

/// What the explorer asks of the process beyond its job.
struct Attendance {
  std::string program;               ///< program_identity() of the explorer; "" = not compared
  std::optional<Numerics> numerics;  ///< none = those of the machine
  std::string folder;                ///< to work in, because paths may be relative; "" = where it is started
};
Json to_json(const Attendance& attendance);
Attendance attendance_from_json(const Json& json);

/// Makes this process what is asked for. Throws: Refusal.
void prepare(const Attendance& attendance);

inline constexpr std::string_view kBegins = "kronbit-begins ", kResult = "kronbit-result ";
/// Writes a marked line on stdout, at the beginning of a line whatever was written there before.
void print_marked(std::string_view mark, const Json& json);
/// What follows the last such mark in a whole line of `text`; nothing when there is none or it is damaged.
std::optional<Json> find_marked(std::string_view mark, std::string_view text);

}  // namespace kronbit::app
