// A trial of an evaluation: its parts once or a few times each, in a process as evaluations have it, so that their
// times and the memory they take are known before hours of them begin. It writes nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/kronbit/evaluation/evaluation.h"

namespace kronbit::app {

/// Seconds of something done many times; memory and caches are cold the first time.
struct Repeated {
  double first = 0, next = 0;
  /// Of doing it `times` times; 0.4 times is a part of the first.
  double seconds(double times) const { return times <= 1 ? times * first : first + (times - 1) * next; }
};

/// What a trial tells. Times are those of one evaluation among as many as run at the same time.
struct Trial {
  double start = 0;             ///< seconds of process, data and network
  Repeated step;                ///< of training, a batch
  Repeated evaluation;          ///< of a batch of kImagesAtOnce images, quantized
  Repeated reference;           ///< of such a batch before quantization
  double pack = 0;              ///< seconds of making the packed network
  std::vector<int64_t> steps;   ///< of training, for each number of epochs of the job
  int64_t file_bytes = 0;       ///< of the packed network
  int64_t peak_bytes = 0;       ///< that the process took
  int64_t available_bytes = 0;  ///< that it could have taken: usable_memory() when it began
};

/// What may be planned with of available_memory(): nine tenths. The rest is for the search itself, which grows a
/// little, and for what the system keeps per page and process.
int64_t usable_memory();

/// The work of the process that tries. The result is that of trial_from_json(); one that takes more than
/// usable_memory() is ended, and its result has peak_bytes and available_bytes only.
Json run_trial(const Job& job);

/// Throws: InputError for anything that is not such a result.
Trial trial_from_json(const Json& json);

}  // namespace kronbit::app
