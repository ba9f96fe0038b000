#include "apps/kronbit/runs/training_run.h"

#include <chrono>

#include "apps/kronbit/evaluation/numerics.h"
#include "apps/kronbit/made_by.h"
#include "apps/kronbit/options/device.h"
#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/runs/run_folder.h"
#include "nn/state_dict.h"
#include "nn/train.h"
#include "quant/bits_file.h"
#include "quant/packed.h"
#include "search/journal.h"
#include "tensor/io/crc32.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kEvaluationBatch = 250;

const std::vector<std::string> kOwn = {"checkpoint.safetensors", "best"};  // what a training makes in its folder

/// What must be the same when a run is resumed.
Json settings_of(const std::string& command, const TrainingOptions& o, const nn::Network& net,
                 const data::Splits& splits, const std::string& fingerprint, const Numerics& numerics) {
  std::string weights = "none";
  if (!o.network.weights.empty()) weights = "crc32:" + hex_of(crc32_of_file(o.network.weights));
  const std::optional<quant::Assignment> quantized = quant::assignment_of(net);
  const quant::AssignOptions how = quantized ? quantized->options : quant::AssignOptions{};
  Json settings = {{"command", command},
                   {"net", net.name()},
                   {"classes", net.classes()},
                   {"weights", weights},
                   {"data", fingerprint},
                   {"normalization", splits.normalization.text()},
                   {"bits", quantized ? Json(quantized->bits) : Json(nullptr)},
                   {"mode", quant::name_of(how.mode)},
                   {"block", fmt::format("{}", how.block)},
                   {"optimiser", o.tune.optimiser},
                   {"lr", o.tune.lr},
                   {"momentum", o.tune.momentum},
                   {"weight_decay", o.tune.weight_decay},
                   {"batch", o.tune.batch},
                   {"epochs", o.epochs},
                   {"schedule", o.schedule},
                   {"clip", o.clip},
                   {"smoothing", o.smoothing},
                   {"seed", o.seed},
                   {"precision", numerics.precision}};
  if (o.tune.device == "cpu") {
    settings["numerics"] = to_json(numerics);
  } else {
    settings["device"] = o.tune.device;
  }
  if (o.data.skip_bad) settings["skip_bad"] = splits.left_out;
  if (!how.activations) settings["activations"] = false;
  return settings;
}

/// What a trainer would refuse, but before the run folder is made.
void check_images(const nn::Network& net, const data::Dataset& images) {
  if (images.classes() > net.classes())
    input_error("--net", "classes: wanted at least the data's {}, got {}", images.classes(), net.classes());
  const int64_t height = net.input_shape()[0], width = net.input_shape()[1];
  if (images.height() != height || images.width() != width)
    input_error("--net", "images: wanted the data's {} x {}, got {} x {}", images.height(), images.width(), height,
                width);
}

/// What the run is calculated with, from now on: as it began. Where this machine cannot, or --kernel names another
/// kernel, the comparison of settings says so.
Numerics choose_numerics(const Frame& frame, const std::filesystem::path& folder, const std::string& precision) {
  const Numerics here = numerics_here(precision), wanted = numerics_of_run(frame, folder, precision);
  try {
    adopt(wanted);
    return wanted;
  } catch (const Refusal&) {
    return here;
  }
}

/// The journal of a run that is new, or is resumed with the same settings, perhaps by another program or machine.
search::Journal open_journal(const std::filesystem::path& folder, bool resume, Json settings) {
  const search::JournalContent content = known_journal(folder, resume, kOwn);
  search::Journal journal(folder, content);
  if (content.lines.empty()) {
    journal.append(
        {{"event", "settings"}, {"schema", search::kJournalSchema}, {"settings", settings}, {"made_by", made_by()}});
  } else {
    const std::string where = (folder / search::kJournalName).string();
    const Json& began_with = get_object(content.lines[0], "settings", where);
    if (!has(began_with, "numerics")) settings.erase("numerics");  // journals that do not say are gone on with by any
    search::check_same_settings(began_with, settings, where);
    if (const auto line = search::resumed_line(content.lines, {{"made_by", made_by()}})) journal.append(*line);
  }
  return journal;
}

const Json* find_line(const search::Journal& journal, const std::string& event, int64_t step) {
  for (const Json& line : journal.lines()) {
    if (line["event"] == event && line.value("step", int64_t{-1}) == step) return &line;
  }
  return nullptr;
}

class TrainingRun {
 public:
  TrainingRun(const Frame& frame, const TrainingOptions& options, nn::Network net, data::Splits splits,
              const nn::TrainOptions& train, search::Journal journal)
      : frame_(frame),
        folder_(options.out),
        net_(std::move(net)),
        splits_(std::move(splits)),
        journal_(std::move(journal)),
        device_(options.tune.device),
        train_(train),
        trainer_(net_, splits_.train, splits_.normalization, train) {
    if (std::filesystem::exists(checkpoint())) restore();
    for (const Json& line : journal_.lines()) {
      if (line["event"] == "epoch" || line["event"] == "untrained")
        best_ = std::max(best_, line["val_top1"].get<double>());
    }
  }

  /// False when a signal or the time limit ended it; then the checkpoint is where it stopped.
  bool train() {
    if (trainer_.steps() == 0) keep_untrained();
    Progress progress(frame_, "train", "steps");
    while (!trainer_.done()) {
      const auto start = Clock::now();
      const nn::StepReport report = advance();
      loss_ += report.loss * static_cast<double>(report.images);
      correct_ += report.correct;
      images_ += report.images;
      seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
      progress.update(trainer_.step(), trainer_.steps(),
                      fmt::format("loss {:.3f}", loss_ / static_cast<double>(std::max<int64_t>(images_, 1))));
      if (trainer_.done() || trainer_.step() % trainer_.steps_per_epoch() == 0) end_epoch(report.lr, progress);
      if (stop_requested || time_is_up()) {
        save_checkpoint();
        return false;
      }
    }
    return true;
  }

  /// Notes why the training ends here, for the run that goes on after the repair.
  void end_by_input(const data::DamagedImage& picture) { journal_.append(input_line(picture)); }

  /// Reads the test split, once: a resumed run takes what is in the journal.
  Json test(const std::string& command) {
    const int64_t step = trainer_.steps();
    if (!find_line(journal_, "test", step)) {
      nn::Network best = best_network();
      const nn::Accuracy a = nn::evaluate(best, splits_.test, splits_.normalization, kEvaluationBatch, {},
                                          &stop_requested, train_.precision, train_.device);
      journal_.append({{"event", "test"},
                       {"step", step},
                       {"top1", a.top1},
                       {"top5", a.top5},
                       {"loss", a.loss},
                       {"images", a.images}});
    }
    const Json& line = *find_line(journal_, "test", step);
    return {{"command", command},
            {"val_top1", best_},
            {"test_top1", line["top1"]},
            {"test_top5", line["top5"]},
            {"test_loss", line["loss"]},
            {"steps", step},
            {"precision", precision_name(train_.precision)},
            {"kernel", product_kernel(device_, train_.precision)},
            {"device", device_},
            {"weights", (folder_ / "best" / "weights.safetensors").string()},
            {"peak_bytes", peak_resident_bytes()}};
  }

  const data::Splits& splits() const { return splits_; }

 private:
  std::filesystem::path checkpoint() const { return folder_ / "checkpoint.safetensors"; }

  /// One step; what was trained is kept where its images cannot be read.
  nn::StepReport advance() {
    try {
      return trainer_.advance();
    } catch (const InputError&) {
      save_checkpoint();
      throw;
    }
  }

  nn::Accuracy validate() { return trainer_.evaluate(splits_.validation, splits_.normalization, kEvaluationBatch); }

  /// Of no epochs, best/ is the network as it is, quantized if there are bits.
  void keep_untrained() {
    if (find_line(journal_, "untrained", 0)) return;
    const nn::Accuracy val = validate();
    save_best();
    best_ = val.top1;
    journal_.append({{"event", "untrained"}, {"step", 0}, {"val_top1", val.top1}, {"val_loss", val.loss}});
  }

  void end_epoch(double lr, Progress& progress) {
    const int64_t step = trainer_.step();
    const nn::Accuracy val = validate();
    trainer_.fetch();
    if (val.top1 > best_ || !std::filesystem::exists(folder_ / "best" / "weights.safetensors")) save_best();
    best_ = std::max(best_, val.top1);
    const double epoch = static_cast<double>(step) / static_cast<double>(trainer_.steps_per_epoch());
    const auto n = static_cast<double>(std::max<int64_t>(images_, 1));
    if (!find_line(journal_, "epoch", step)) {
      journal_.append({{"event", "epoch"},
                       {"epoch", epoch},
                       {"step", step},
                       {"lr", lr},
                       {"loss", loss_ / n},
                       {"train_top1", static_cast<double>(correct_) / n},
                       {"val_top1", val.top1},
                       {"val_loss", val.loss},
                       {"seconds", seconds_},
                       {"images_per_second", seconds_ > 0 ? n / seconds_ : 0.0}});
    }
    progress.log(fmt::format(
        "epoch {:<6.4g} loss {:.4f}  train {:.2f} %  validation {:.2f} %  lr {:.3g}  {:.0f} images/s", epoch, loss_ / n,
        100 * static_cast<double>(correct_) / n, 100 * val.top1, lr, n / std::max(seconds_, 1e-9)));
    loss_ = seconds_ = 0;
    correct_ = images_ = 0;
    save_checkpoint();
  }

  // The sums of the running epoch travel with the checkpoint, so that a resumed epoch reports what an unbroken one
  // does.
  void save_checkpoint() {
    trainer_.save(checkpoint(), {{"normalization", splits_.normalization.text()},
                                 {"epoch_sums", dump_line({loss_, seconds_, correct_, images_})}});
  }

  void restore() {
    const std::map<std::string, std::string> notes = trainer_.restore(checkpoint());
    const std::string where = checkpoint().string() + ": epoch_sums";
    const auto found = notes.find("epoch_sums");
    const Json sums = parse_json(found == notes.end() ? "" : found->second, where);
    if (!sums.is_array() || sums.size() != 4) input_error(where, "wanted four numbers, got {}", dump_line(sums));
    loss_ = as_number(sums[0], 0, 1e300, "loss", where);
    seconds_ = as_number(sums[1], 0, 1e12, "seconds", where);
    correct_ = as_int(sums[2], 0, INT64_MAX, "correct", where);
    images_ = as_int(sums[3], 0, INT64_MAX, "images", where);
  }

  void save_best() {
    const std::filesystem::path best = folder_ / "best";
    make_folder(best);
    std::map<std::string, std::string> metadata = {{"normalization", splits_.normalization.text()}};
    const std::vector<std::string> names = class_names(splits_, net_);
    if (!names.empty()) metadata["class_names"] = dump_line(Json(names));
    nn::save_state_dict(net_, best / "weights.safetensors", metadata);
    if (quant::current_bits(net_).empty()) return;
    quant::PackOptions pack;
    pack.normalization = splits_.normalization.text();
    pack.class_names = names;
    quant::pack(net_, pack).save(best / "model.safetensors");
    quant::write_bits_file(best / "bits.json", net_, *quant::assignment_of(net_));
  }

  nn::Network best_network() {
    nn::Network best = net_.clone();
    nn::load_state_dict(best, folder_ / "best" / "weights.safetensors");
    return best;
  }

  const Frame& frame_;
  std::filesystem::path folder_;
  nn::Network net_;
  data::Splits splits_;
  search::Journal journal_;
  std::string device_;
  nn::TrainOptions train_;
  nn::Trainer trainer_;
  double best_ = 0;
  // Of the running epoch.
  double loss_ = 0, seconds_ = 0;
  int64_t correct_ = 0, images_ = 0;
};

}  // namespace

void add_training_options(CLI::App* command, TrainingOptions& options) {
  add_network_options(command, options.network, false);
  add_data_options(command, options.data);
  add_tune_options(command, options.tune);
  command
      ->add_option("--epochs", options.epochs, "passes over the training images; fractions are fine, 0 trains nothing")
      ->required();
  command->add_option("--schedule", options.schedule,
                      "learning rate: constant, step:30,45 (epochs), cosine or onecycle");
  command->add_option("--clip", options.clip, "largest norm of the gradient (0: no limit)");
  command->add_option("--smoothing", options.smoothing, "label smoothing");
  command->add_option("--seed", options.seed, "of initial weights, order and augmentation");
  command->add_option("--out", options.out, "run folder")->required();
  command->add_flag("--resume", options.resume, "go on with the run in --out, if there is one");
  add_time_limit_option(command, options.time_limit);
}

int run_training(const Frame& frame, const std::string& command, const TrainingOptions& options) {
  stop_gently();
  set_time_limit(options.time_limit);
  // Before all pictures are read; the lock is for later.
  const search::JournalContent known = known_journal(options.out, options.resume, kOwn);
  nn::TrainOptions train;
  train.epochs = parse_number(options.epochs, 0, 1e6, "--epochs");
  train.batch = parse_int(options.tune.batch, 1, 1 << 20, "--batch");
  train.optimiser = optimiser_options(options.tune);
  train.schedule = nn::parse_schedule(options.schedule);
  train.clip_gradients = parse_number(options.clip, 0, 1e9, "--clip");
  train.label_smoothing = parse_number(options.smoothing, 0, 0.999, "--smoothing");
  train.seed = static_cast<uint64_t>(parse_int(options.seed, 0, INT64_MAX, "--seed"));
  train.precision = parse_precision(resolve_precision(options.tune.precision, options.tune.device, options.out));

  const Numerics numerics = choose_numerics(frame, options.out, precision_name(train.precision));

  const std::unique_ptr<Device> device = open_device(options.tune.device);
  train.device = device.get();

  DataOptions read = options.data;
  if (read.skip_bad) read.left_out = left_out_by(known.lines);
  data::Splits splits = open_data(read, options.network);
  LoadedNetwork loaded = load_network(options.network, splits.train.classes());
  nn::Network& net = loaded.net;
  if (options.network.weights.empty()) {
    net.initialize(train.seed);
  } else {
    check_classes(options.network.weights, net.classes(), loaded.info.class_names, splits, Classes::Enough);
  }
  if (!options.bits.bits.empty())
    quant::assign_bits(net, read_bits(options.bits.bits, net), assign_options(options.bits));
  check_images(net, splits.train);
  check_pictures(read, {splits.train, splits.validation, splits.test});  // better now than after hours of training
  const std::string fingerprint =
      fingerprint_of(options.data, input_size(options.network), splits, known.lines, "data");

  make_folder(options.out);
  const FolderLock lock(options.out);
  remove_stale_temporaries(options.out);
  search::Journal journal =
      open_journal(options.out, options.resume, settings_of(command, options, net, splits, fingerprint, numerics));
  TrainingRun run(frame, options, std::move(net), std::move(splits), train, std::move(journal));
  Json result;
  try {
    if (!run.train()) {
      tell("{}; the same command with --resume goes on\n", stop_reason());
      return stop_exit_code();
    }
    result = run.test(command);
  } catch (const data::DamagedImage& e) {
    run.end_by_input(e);
    throw;
  }
  if (frame.json) {
    print_json(result);
  } else {
    fmt::print("{}\nvalidation {:.2f} %   test {:.2f} %   {}\n", run.splits().description,
               100 * result["val_top1"].get<double>(), 100 * result["test_top1"].get<double>(),
               result["weights"].get<std::string>());
    fmt::print("{}, kernel {}, {} threads, peak memory {:.0f} MB\n", precision_name(train.precision),
               product_kernel(options.tune.device, train.precision), threads(),
               static_cast<double>(peak_resident_bytes()) / 1e6);
  }
  return 0;
}

}  // namespace kronbit::app
