#include "apps/kronbit/evaluation/evaluation.h"

#include <chrono>
#include <cmath>

#include "apps/kronbit/evaluation/numerics.h"
#include "apps/kronbit/evaluation/reference.h"
#include "apps/kronbit/options/device.h"
#include "quant/packed.h"
#include "tensor/base/stopped.h"
#include "tensor/io/crc32.h"
#include "tensor/io/parse.h"
#include "tensor/memory.h"

namespace kronbit::app {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The network before quantization, which depends on nothing else.
Tensor reference_of(const Job& job, nn::Network& net, const data::Splits& splits) {
  const std::string weights = job.network.weights.empty() ? "none" : hex_of(crc32_of_file(job.network.weights));
  const std::string key = fmt::format("network {} {}, {} classes, weights {}, data {}", job.network.net,
                                      job.network.input_size, net.classes(), weights, splits.fingerprint);
  return reference_logits(job.reference, key, net, splits, &stop_requested);
}

/// One number per task.
struct PerTask {
  Json accuracies = Json::array(), losses = Json::array(), kl = Json::array(), train_losses = Json::array(),
       train_seconds = Json::array(), evaluation_seconds = Json::array();
  Json test_accuracies = Json::array(), test_losses = Json::array();
};

/// Trains up to a number of epochs.
void train_to(nn::Trainer& trainer, double epochs, PerTask& tasks) {
  const Clock::time_point start = Clock::now();
  double loss = 0;
  int64_t images = 0;
  while (trainer.step() < trainer.steps_in(epochs)) {
    if (stop_requested) throw Stopped("[evaluate] stopped");
    const nn::StepReport step = trainer.advance();
    loss += step.loss * static_cast<double>(step.images);
    images += step.images;
  }
  tasks.train_losses.push_back(images > 0 ? Json(loss / static_cast<double>(images)) : Json(nullptr));
  tasks.train_seconds.push_back(seconds_since(start));
}

void measure(nn::Trainer& trainer, const data::Splits& splits, const Tensor& reference, PerTask& tasks) {
  const Answers answers = answers_of([&](const Tensor& images) { return trainer.classify(images); }, splits.validation,
                                     splits.normalization, &stop_requested);
  if (!std::isfinite(answers.accuracy.loss)) throw NumericalError("[evaluate] the validation loss is not finite");
  tasks.accuracies.push_back(answers.accuracy.top1);
  tasks.losses.push_back(answers.accuracy.loss);
  tasks.kl.push_back(mean_kl(reference, answers.logits));
  tasks.evaluation_seconds.push_back(answers.accuracy.seconds);
}

nn::Accuracy test(nn::Trainer& trainer, const data::Splits& splits) {
  const nn::Accuracy a = nn::evaluate([&](const Tensor& images) { return trainer.classify(images); }, splits.test,
                                      splits.normalization, kImagesAtOnce, {}, &stop_requested);
  if (!std::isfinite(a.loss)) throw NumericalError("[evaluate] the test loss is not finite");
  return a;
}

}  // namespace

void add_tune_options(CLI::App* command, TuneOptions& options) {
  command->add_option("--optimiser", options.optimiser, "sgd or adam");
  command->add_option("--lr", options.lr, "learning rate");
  command->add_option("--momentum", options.momentum, "of sgd");
  command->add_option("--weight-decay", options.weight_decay, "L2 term of the gradient");
  command->add_option("--batch", options.batch, "images per step");
  add_precision_option(command, options.precision);
  add_device_option(command, options.device);
}

nn::OptimiserOptions optimiser_options(const TuneOptions& options) {
  const double lr = parse_number(options.lr, 0, 1e3, "--lr");
  const double decay = parse_number(options.weight_decay, 0, 1, "--weight-decay");
  if (options.optimiser == "adam") return nn::Adam{.lr = lr, .weight_decay = decay};
  if (options.optimiser != "sgd") input_error("--optimiser", "wanted sgd or adam, got {}", options.optimiser);
  return nn::Sgd{.lr = lr, .momentum = parse_number(options.momentum, 0, 1, "--momentum"), .weight_decay = decay};
}

Json to_json(const Job& job) {
  return {{"net", job.network.net},
          {"weights", job.network.weights},
          {"classes", job.network.classes},
          {"input_size", job.network.input_size},
          {"weights_crc", job.weights_crc},
          {"fingerprint", job.fingerprint},
          {"data", job.data.data},
          {"validation", job.data.validation},
          {"normalize", job.data.normalize},
          {"image_size", job.data.image_size},
          {"data_seed", job.data.seed},
          {"left_out", job.data.left_out.value_or(std::vector<std::string>{})},
          {"mode", job.bits.mode},
          {"block", job.bits.block},
          {"optimiser", job.tune.optimiser},
          {"lr", job.tune.lr},
          {"momentum", job.tune.momentum},
          {"weight_decay", job.tune.weight_decay},
          {"batch", job.tune.batch},
          {"precision", job.tune.precision},
          {"device", job.tune.device},
          {"bits", job.layers},
          {"epochs", job.epochs},
          {"schedule", job.schedule},
          {"seed", job.seed},
          {"test", job.test},
          {"test_every_task", job.test_every_task},
          {"reference", job.reference},
          {"keep", job.keep},
          {"kernel", job.kernel},
          {"threads", job.threads},
          {"parent", job.parent},
          {"trial", job.trial}};
}

Job job_from_json(const Json& j) {
  const std::string where = "job";
  Job job;
  job.network = {get_string(j, "net", where), get_string(j, "weights", where), get_string(j, "classes", where),
                 get_string(j, "input_size", where)};
  job.data = {.data = get_string(j, "data", where),
              .validation = get_string(j, "validation", where),
              .normalize = get_string(j, "normalize", where),
              .image_size = get_string(j, "image_size", where),
              .seed = get_string(j, "data_seed", where),
              .left_out = get_strings(j, "left_out", where)};
  job.weights_crc = get_string(j, "weights_crc", where);
  job.fingerprint = get_string(j, "fingerprint", where);
  job.bits = {"", get_string(j, "mode", where), get_string(j, "block", where)};
  job.tune = {get_string(j, "optimiser", where),    get_string(j, "lr", where),    get_string(j, "momentum", where),
              get_string(j, "weight_decay", where), get_string(j, "batch", where), get_string(j, "precision", where),
              get_string(j, "device", where)};
  for (int64_t b : get_ints(j, "bits", kMinBits, kMaxBits, where)) job.layers.push_back(static_cast<int>(b));
  job.epochs = get_numbers(j, "epochs", 0, 1e6, where);
  job.schedule = get_string(j, "schedule", where);
  job.seed = static_cast<uint64_t>(get_int(j, "seed", 0, INT64_MAX, where));
  job.test = get_bool(j, "test", where);
  job.test_every_task = get_bool(j, "test_every_task", where);
  job.reference = get_string(j, "reference", where);
  job.keep = get_string(j, "keep", where);
  job.kernel = get_string(j, "kernel", where);
  job.threads = static_cast<int>(get_int(j, "threads", 1, 1024, where));
  job.parent = get_int(j, "parent", 0, INT32_MAX, where);
  job.trial = has(j, "trial") && get_bool(j, "trial", where);
  return job;
}

void check_inputs(const Job& job, const data::Splits& splits) {
  const auto check = [](const char* what, const std::string& wanted, const std::string& has, const std::string& place) {
    if (wanted.empty() || has == wanted) return;
    throw Refusal(
        fmt::format("worker {} has other {}: wanted {}, has {} in {}", host_name(), what, wanted, has, place));
  };
  if (!job.weights_crc.empty())
    check("weights", job.weights_crc, "crc32:" + hex_of(crc32_of_file(job.network.weights)), job.network.weights);
  check("data", job.fingerprint, splits.fingerprint, job.data.data);
}

nn::TrainOptions training_options(const Job& job) {
  nn::TrainOptions options;
  options.batch = parse_int(job.tune.batch, 1, 1 << 20, "--batch");
  options.optimiser = optimiser_options(job.tune);
  options.schedule = nn::parse_schedule(job.schedule);
  options.seed = job.seed;
  options.precision = parse_precision(job.tune.precision, job.tune.device);
  return options;
}

void check_job(const Job& job) {
  check_device(job.tune.device);
  training_options(job);
  assign_options(job.bits);
}

Json run_job(const Job& job) {
  const Clock::time_point start = Clock::now();
  const data::Splits splits = open_data(job.data, input_size(job.network));
  check_inputs(job, splits);
  nn::Network net = load_network(job.network, splits.train.classes()).net;
  const Tensor reference = reference_of(job, net, splits);
  quant::assign_bits(net, job.layers, assign_options(job.bits));

  nn::TrainOptions options = training_options(job);
  options.epochs = job.epochs.back();
  const std::unique_ptr<Device> device = open_device(job.tune.device);
  options.device = device.get();
  nn::Trainer trainer(net, splits.train, splits.normalization, options);
  PerTask tasks;
  for (const double epochs : job.epochs) {
    train_to(trainer, epochs, tasks);
    measure(trainer, splits, reference, tasks);
    if (!job.test_every_task) continue;
    const nn::Accuracy a = test(trainer, splits);
    tasks.test_accuracies.push_back(a.top1);
    tasks.test_losses.push_back(a.loss);
  }
  Json result = {{"accuracies", tasks.accuracies},
                 {"losses", tasks.losses},
                 {"kl", tasks.kl},
                 {"train_losses", tasks.train_losses},
                 {"train_seconds", tasks.train_seconds},
                 {"evaluation_seconds", tasks.evaluation_seconds},
                 {"images", splits.validation.size()}};
  if (job.test_every_task) {
    result["test_tasks"] = {
        {"accuracies", tasks.test_accuracies}, {"losses", tasks.test_losses}, {"images", splits.test.size()}};
  }
  if (job.test) {
    const nn::Accuracy a = test(trainer, splits);
    result["test"] = {{"top1", a.top1}, {"top5", a.top5}, {"loss", a.loss}, {"images", a.images}};
  }
  if (!job.keep.empty()) {
    trainer.fetch();
    quant::PackOptions pack;
    pack.normalization = splits.normalization.text();
    pack.class_names = class_names(splits, net);
    const quant::PackedNetwork packed = quant::pack(net, pack);
    try {
      packed.save(job.keep);
    } catch (const Error& e) {
      throw Refusal(e.what());  // a full disk says nothing about these bits
    }
  }
  result["seconds"] = seconds_since(start);
  result["peak_bytes"] = peak_resident_bytes();
  return result;
}

}  // namespace kronbit::app
