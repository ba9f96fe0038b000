// One evaluation: a bit list becomes a quantized network, is fine-tuned through the tasks and measured at each. It runs
// in a process of its own (kronbit evaluate): job in, one JSON line out, so a crash costs that evaluation only.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "apps/kronbit/options/common.h"
#include "nn/train.h"
#include "tensor/io/json.h"

namespace kronbit::app {

/// How networks are fine-tuned: the same for every configuration. The learning rate is constant, so that a run to a
/// high task passes the lower ones exactly as runs of their own would.
struct TuneOptions {
  std::string optimiser = "sgd", lr = "0.005", momentum = "0.9", weight_decay = "0.0001", batch = "128",
              precision = "auto", device = "cpu";
};
void add_tune_options(CLI::App* command, TuneOptions& options);
nn::OptimiserOptions optimiser_options(const TuneOptions& options);

/// Everything an evaluation depends on; the same job gives the same accuracies, on any worker of the same kind.
struct Job {
  NetworkOptions network;
  DataOptions data;
  std::string weights_crc, fingerprint;  ///< "crc32:1f2e3d4c" of the weights file, Splits::fingerprint; "" = any
  BitsOptions bits = usual_quantizer();  ///< mode and block; the list itself is `layers`
  TuneOptions tune;
  Bits layers;
  std::vector<double> epochs;         ///< of the tasks to pass, ascending; accuracy is measured at each
  std::string schedule = "constant";  ///< of the learning rate; only constant passes lower tasks as runs of their own
  uint64_t seed = 1;
  bool test = false;             ///< also read the test split, at the end
  bool test_every_task = false;  ///< read it at each task: for tables that later work is judged on
  std::string reference;  ///< file with the logits before quantization (reference.h), made when absent; "" = no file
  std::string keep;       ///< packed network of the end result, if not empty
  std::string kernel;     ///< forced compute kernel
  int threads = 1;
  int64_t parent = 0;  ///< process to die with; 0 = none (another machine)
  bool trial = false;  ///< run_trial() (trial.h) instead of run_job()
};
Json to_json(const Job& job);
Job job_from_json(const Json& json);
/// Whether this machine has the weights and the data that the job means. Throws: Refusal naming what is another:
/// "worker node7 has other weights: wanted crc32:1f2e3d4c, has crc32:00000000 in w.safetensors".
void check_inputs(const Job& job, const data::Splits& splits);
/// Reads every option of the job, so that mistakes show before anything runs. Throws: InputError.
void check_job(const Job& job);

/// All of it but the number of epochs. Throws: InputError.
nn::TrainOptions training_options(const Job& job);

/// {"accuracies": [..], "losses": [..], "kl": [..], "train_losses": [..], "train_seconds": [..],
/// "evaluation_seconds": [..], "images": .., "seconds": .., "peak_bytes": ..}, one number per task. kl is mean_kl() of
/// the validation images (reference.h); a training loss is the mean since the task before, null without a step; seconds
/// of evaluation are those of the validation images.
/// With `test` also "test": {top1, top5, loss, images}; with `test_every_task` "test_tasks": {"accuracies": [..],
/// "losses": [..], "images": ..}. Throws: InputError, NumericalError (a loss that is not finite), Refusal
/// (check_inputs(); what is to be kept cannot be written), Stopped.
Json run_job(const Job& job);

}  // namespace kronbit::app
