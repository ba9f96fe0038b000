#include "apps/kronbit/evaluation/trial.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "apps/kronbit/evaluation/protocol.h"
#include "apps/kronbit/evaluation/reference.h"
#include "apps/kronbit/options/device.h"
#include "nn/train.h"
#include "quant/packed.h"
#include "tensor/available_memory.h"
#include "tensor/base/stopped.h"
#include "tensor/memory.h"

namespace kronbit::app {
namespace {

constexpr double kSeconds = 1.5;  // of each part: some ten steps of a small network, one of a large one
constexpr double kUsable = 0.9;
constexpr double kEpochs = 1e6;  // so many that the training does not end first

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Once, then again for kSeconds, at least once.
Repeated repeated(const std::function<void()>& work) {
  const auto stop_when_asked = [] {
    if (stop_requested) throw Stopped("[evaluate] stopped");
  };
  Repeated times;
  Clock::time_point start = Clock::now();
  work();
  times.first = seconds_since(start);
  start = Clock::now();
  int64_t count = 0;
  do {
    stop_when_asked();
    work();
    ++count;
  } while (seconds_since(start) < kSeconds);
  times.next = seconds_since(start) / static_cast<double>(count);
  return times;
}

Json to_json(const Repeated& times) { return {times.first, times.next}; }
Repeated repeated_from_json(const Json& json, const char* key) {
  const std::vector<double> both = get_numbers(json, key, 0, 1e9, "trial");
  if (both.size() != 2) input_error("trial", "{}: wanted 2 numbers, got {}", key, both.size());
  return {both[0], both[1]};
}

/// Pages of this process in memory now, in bytes.
int64_t resident_bytes() {
  int64_t pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * sysconf(_SC_PAGESIZE);
}

/// Ends the process, with what it took as its result, before it takes more than `limit`: a process that the system has
/// to kill would take others with it.
void end_beyond(int64_t limit) {
  std::thread([limit] {
    for (;; std::this_thread::sleep_for(std::chrono::milliseconds(2))) {
      const int64_t taken = resident_bytes();
      if (taken <= limit) continue;
      print_marked(kResult, {{"result", {{"peak_bytes", taken}, {"available_bytes", limit}}}});
      _exit(0);
    }
  }).detach();
}

}  // namespace

int64_t usable_memory() { return static_cast<int64_t>(kUsable * static_cast<double>(available_memory())); }

Trial trial_from_json(const Json& json) {
  Trial t;
  t.start = get_number(json, "start", 0, 1e9, "trial");
  t.step = repeated_from_json(json, "step");
  t.evaluation = repeated_from_json(json, "evaluation");
  t.reference = repeated_from_json(json, "reference");
  t.pack = get_number(json, "pack", 0, 1e9, "trial");
  t.steps = get_ints(json, "steps", 0, INT64_MAX, "trial");
  t.file_bytes = get_int(json, "file_bytes", 0, INT64_MAX, "trial");
  t.peak_bytes = get_int(json, "peak_bytes", 0, INT64_MAX, "trial");
  t.available_bytes = get_int(json, "available_bytes", 0, INT64_MAX, "trial");
  return t;
}

Json run_trial(const Job& job) {
  const Clock::time_point start = Clock::now();
  const int64_t available = usable_memory();
  end_beyond(available);
  data::Splits splits = open_data(job.data, input_size(job.network));
  nn::Network net = load_network(job.network, splits.train.classes()).net;
  Json result = {{"start", seconds_since(start)}};
  const int64_t images = splits.validation.size();
  const int64_t batch = std::min(kImagesAtOnce, images);
  splits.validation = splits.validation.spread(batch);
  const double whole = static_cast<double>(kImagesAtOnce) / static_cast<double>(batch);
  const auto of_whole_batches = [&](Repeated times) { return to_json({whole * times.first, whole * times.next}); };

  Tensor reference;
  result["reference"] =
      of_whole_batches(repeated([&] { reference = reference_logits("", "", net, splits, &stop_requested); }));
  quant::assign_bits(net, job.layers, assign_options(job.bits));
  nn::TrainOptions options = training_options(job);
  options.epochs = kEpochs;
  const std::unique_ptr<Device> device = open_device(job.tune.device);
  options.device = device.get();
  nn::Trainer trainer(net, splits.train, splits.normalization, options);
  result["step"] = to_json(job.epochs.back() > 0 ? repeated([&] { trainer.advance(); }) : Repeated{});
  result["evaluation"] = of_whole_batches(repeated([&] {
    answers_of([&](const Tensor& x) { return trainer.classify(x); }, splits.validation, splits.normalization,
               &stop_requested);
  }));
  Json steps = Json::array();
  for (const double epochs : job.epochs) steps.push_back(trainer.steps_in(epochs));
  result["steps"] = steps;

  const Clock::time_point packing = Clock::now();
  trainer.fetch();
  quant::PackOptions pack;
  pack.normalization = splits.normalization.text();
  pack.class_names = class_names(splits, net);
  result["file_bytes"] = quant::pack(net, pack).writer().bytes().size();
  result["pack"] = seconds_since(packing);
  // The answers to all images, before quantization and after it, are kept by evaluations and were not here.
  const auto answers = static_cast<size_t>(2 * 4 * (images - batch) * net.classes());
  result["peak_bytes"] = peak_resident_bytes() + answers;
  result["available_bytes"] = available;
  result["seconds"] = seconds_since(start);
  return result;
}

}  // namespace kronbit::app
