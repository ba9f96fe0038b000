// A training as a run folder: journal, checkpoint, best/ and exact resume. Shared by kronbit train and kronbit
// finetune.
#pragma once

#include <filesystem>
#include <string>

#include "apps/kronbit/evaluation/evaluation.h"
#include "apps/kronbit/options/common.h"

namespace kronbit::app {

struct TrainingOptions {
  NetworkOptions network;
  DataOptions data;
  BitsOptions bits;  ///< finetune only: bits.bits is empty for plain training
  TuneOptions tune;
  std::string epochs, schedule = "onecycle", clip = "0", smoothing = "0", seed = "1";
  std::string out, time_limit;
  bool resume = false;
};
void add_training_options(CLI::App* command, TrainingOptions& options);

/// Trains to the end (or until a signal or --time-limit) and reports; `command` is "train" or "finetune". Returns the
/// exit code. RUN holds journal.jsonl (settings, one line per epoch, the final test), checkpoint.safetensors, and best/
/// with the weights of the best validation accuracy (finetune: also the packed model and bits.json). Weights in RUN
/// without a journal are refused.
int run_training(const Frame& frame, const std::string& command, const TrainingOptions& options);

}  // namespace kronbit::app
