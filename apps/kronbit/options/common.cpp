#include "apps/kronbit/options/common.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "nn/train.h"
#include "quant/bits_file.h"
#include "search/journal.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::app {

void add_network_options(CLI::App* command, NetworkOptions& options, bool weights_required) {
  std::string names;
  for (const std::string& name : nn::model_names()) names += (names.empty() ? "" : ", ") + name;
  command->add_option("--net", options.net, "network: " + names)->required();
  auto* weights = command->add_option("--weights", options.weights, "safetensors file: ours, or a PyTorch state dict")
                      ->check(not_empty());
  if (weights_required) weights->required();
  command->add_option("--classes", options.classes, "classes (default: as the weights or the data say)");
  command->add_option("--input-size", options.input_size,
                      "height and width of the images (default: as the weights say, else the network's)");
}

void add_data_options(CLI::App* command, DataOptions& options) {
  command
      ->add_option("--data", options.data,
                   "synthetic, synthetic:N, cifar10:DIR, cifar100:DIR, imagenet32:DIR or folder:DIR "
                   "(DIR/train/CLASS/*, DIR/val/CLASS/*); needed for trained weights, else synthetic")
      ->check(not_empty());
  command
      ->add_option("--validation", options.validation,
                   "train:N holds N training images out; test:N searches on N test images and reports on the others "
                   "(default: train:5000, at most a fifth of the training images)")
      ->check(not_empty());
  command->add_option("--normalize", options.normalize,
                      "imagenet, cifar10, cifar100 or R,G,B/R,G,B (default: the weights', else the data set's)");
  command->add_option("--image-size", options.image_size,
                      "folder: only: height and width to read images at (default: what the network takes)");
  command->add_option("--data-seed", options.seed, "seed of the validation split");
  command->add_flag("--skip-bad", options.skip_bad,
                    "folder: only: leave damaged pictures out instead of refusing them");
}

void add_bits_options(CLI::App* command, BitsOptions& options, bool bits_required) {
  auto* bits = command
                   ->add_option("--bits", options.bits,
                                "bits per layer: \"6 555 44\", \"4x21 3x27\", one number for all, or @bits.json")
                   ->check(not_empty());
  if (bits_required) bits->required();
  command->add_option(
      "--mode", options.mode,
      "weight quantizer: signed-extreme or paper-floor (default: what @bits.json says, else signed-extreme)");
  command->add_option("--block", options.block,
                      "channels that share a multiplier or exponent (default: what @bits.json says, else 32)");
}

namespace {

/// What --weights says of itself; nothing without weights.
nn::WeightsInfo info_of(const NetworkOptions& options) {
  return options.weights.empty() ? nn::WeightsInfo{} : nn::weights_info(SafetensorsFile::open(options.weights));
}

int64_t input_size(const NetworkOptions& options, const nn::WeightsInfo& info) {
  const int64_t said = info.input_size > 0 ? info.input_size : nn::usual_input_size(options.net);
  if (options.input_size.empty()) return said;
  const int64_t size = parse_int(options.input_size, 1, 4096, "--input-size");
  if (info.input_size > 0 && size != said)
    input_error("--input-size", "wanted {} as {} says, got {}", said, options.weights, size);
  return size;
}

/// As the user says it; a job may repeat what a file says.
void check_normalize(const DataOptions& options) {
  if (!options.normalize.empty()) parse_normalize(options.normalize);
}

/// The line on stderr for weights that do not say it.
void mention_normalization(const DataOptions& options, const std::string& file, const std::string& net,
                           const std::string& said) {
  if (!said.empty() || !options.normalize.empty()) return;
  const char* hint = net == "googlenet_imagenet" ? "; torchvision's: 0.5,0.5,0.5/0.5,0.5,0.5" : "";
  tell("{} does not say how its pixels were normalized: as the data set's (--normalize names another{})\n",
       printable(file), hint);
}

/// The names, unless a reader of data has made them up.
std::vector<std::string> known_names(const std::vector<std::string>& names) {
  const bool made_up = std::ranges::all_of(names, [](const std::string& name) {
    return name.starts_with("class ") && name.find_first_not_of("0123456789", 6) == std::string::npos;
  });
  return made_up ? std::vector<std::string>{} : names;
}

}  // namespace

int64_t input_size(const NetworkOptions& options) { return input_size(options, info_of(options)); }

void require_data(const DataOptions& options, const std::string& file) {
  if (options.data.empty())
    input_error("--data", "wanted the images that {} is for (synthetic: the built-in ones), got nothing", file);
}

std::string with_absolute_folder(const std::string& data) {
  const size_t colon = data.find(':');
  if (colon == std::string::npos || data.starts_with("synthetic")) return data;
  const std::filesystem::path folder = std::filesystem::absolute(data.substr(colon + 1)).lexically_normal();
  return data.substr(0, colon + 1) + folder.string();
}

data::Normalization parse_normalize(const std::string& text) {
  const data::Normalization normalization = data::parse_normalization(text);
  for (const float mean : normalization.mean) {
    if (mean < 0 || mean > 1)
      input_error("--normalize", "wanted means of pixels scaled to 0..1 (divide those of 0..255 by 255), got {}", text);
  }
  return normalization;
}

data::Splits open_data(const DataOptions& options, int64_t input_size, const std::string& normalization) {
  data::OpenOptions open;
  open.validation = options.validation;
  open.seed = static_cast<uint64_t>(parse_int(options.seed, 0, INT64_MAX, "--data-seed"));
  for (const auto& [given, flag] :
       {std::pair{!options.image_size.empty(), "--image-size"}, {options.skip_bad, "--skip-bad"}}) {
    if (given && !options.data.starts_with("folder:"))
      input_error(flag, "wanted with --data folder:DIR only, got --data {}",
                  options.data.empty() ? "synthetic" : options.data);
  }
  open.image_size = options.image_size.empty() ? input_size : parse_int(options.image_size, 1, 4096, "--image-size");
  const std::string& text = options.normalize.empty() ? normalization : options.normalize;
  if (!text.empty()) open.normalization = data::parse_normalization(text);
  open.leave_out = options.left_out.value_or(std::vector<std::string>{});
  open.sizes = options.sizes;
  data::Splits splits = data::open(options.data.empty() ? "synthetic" : options.data, open);
  if (!options.skip_bad || options.left_out) return splits;
  const bool test_alone = options.test_only && !options.validation.starts_with("test:");
  open.leave_out =
      find_left_out(test_alone ? std::vector{splits.test} : std::vector{splits.train, splits.validation, splits.test});
  return open.leave_out.empty() ? splits : data::open(options.data, open);
}

data::Splits open_data(const DataOptions& options, const NetworkOptions& network) {
  const nn::WeightsInfo info = info_of(network);
  check_normalize(options);
  if (!network.weights.empty()) {
    require_data(options, network.weights);
    mention_normalization(options, network.weights, network.net, info.normalization);
  }
  return open_data(options, input_size(network, info), info.normalization);
}

data::Splits open_data(const DataOptions& options, const std::string& file, const quant::PackedNetwork& packed) {
  check_normalize(options);
  mention_normalization(options, file, packed.network_name(), packed.normalization());
  return open_data(options, packed.input_size(), packed.normalization());
}

LoadedNetwork load_network(const NetworkOptions& options, int data_classes) {
  nn::ModelOptions model;
  std::optional<SafetensorsFile> file;
  nn::WeightsInfo info;
  if (!options.weights.empty()) {
    file = SafetensorsFile::open(options.weights);
    info = nn::weights_info(*file);
    if (!info.network.empty() && info.network != options.net) {
      input_error(options.weights, "wanted weights of {}, got those of {}", options.net, info.network);
    }
  }
  model.classes = !options.classes.empty() ? static_cast<int>(parse_int(options.classes, 1, 65536, "--classes"))
                  : info.classes > 0       ? info.classes
                                           : data_classes;
  model.input_size = input_size(options, info);
  LoadedNetwork loaded{nn::build(options.net, model), std::move(info)};
  if (!file) return loaded;
  const int rows = nn::classes_of(*file, loaded.net);
  if (options.classes.empty() && loaded.info.classes == 0 && rows > 0 && rows != loaded.net.classes()) {
    model.classes = rows;
    loaded.net = nn::build(options.net, model);
  }
  nn::load_state_dict(loaded.net, *file);
  return loaded;
}

void check_classes(const std::string& file, int classes, const std::vector<std::string>& names,
                   const data::Splits& splits, Classes wanted) {
  const int of_data = splits.test.classes();
  if (classes < of_data || (classes > of_data && wanted == Classes::Same))
    input_error(file, "classes: wanted {}the data's {}, got {}", wanted == Classes::Enough ? "at least " : "", of_data,
                classes);
  if (classes > of_data) {
    tell("{} has {} classes, the data {}: the others stay unused\n", printable(file), classes, of_data);
    return;
  }
  const std::vector<std::string> theirs = known_names(names), ours = known_names(splits.test.class_names());
  if (theirs.empty() || ours.empty() || theirs == ours) return;
  const auto at = static_cast<size_t>(std::ranges::mismatch(theirs, ours).in1 - theirs.begin());
  const bool reordered = std::ranges::is_permutation(theirs, ours);
  if (reordered || wanted == Classes::Same) {
    input_error(file, "class {} is {} in the file, {} in the data{}", at, quote(theirs[at]), quote(ours[at]),
                reordered ? ": the same classes in another order" : "");
  }
  tell("{}: class {} is {} in the file, {} in the data: the data's names from here on\n", printable(file), at,
       quote(theirs[at]), quote(ours[at]));
}

std::vector<std::string> class_names(const data::Splits& splits, const nn::Network& net) {
  return splits.test.classes() == net.classes() ? splits.test.class_names() : std::vector<std::string>{};
}

Bits read_bits(const std::string& text, const nn::Network& net) {
  if (text.starts_with('@')) return quant::read_bits_file(text.substr(1), net).bits;
  return parse_bits(text, static_cast<int64_t>(net.convolutions().size()));
}

quant::AssignOptions assign_options(const BitsOptions& options) {
  quant::AssignOptions assign;
  if (!options.mode.empty()) assign.mode = quant::parse_mode(options.mode);
  if (!options.block.empty()) assign.block = parse_int(options.block, 1, 65536, "--block");
  if (!options.bits.starts_with('@')) return assign;
  const std::string file = options.bits.substr(1);
  const quant::AssignOptions said = quant::read_bits_options(file);
  if (!options.mode.empty() && assign.mode != said.mode)
    input_error("--mode", "wanted {} as {} says, got {}", quant::name_of(said.mode), file, options.mode);
  if (!options.block.empty() && assign.block != said.block)
    input_error("--block", "wanted {} as {} says, got {}", said.block, file, options.block);
  return said;
}

void print_json(const Json& json) {
  const std::string line = dump_line(json) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

quant::EngineOptions engine_options(const Frame& frame, const std::filesystem::path& model, bool exact) {
  const std::string kernel = frame.kernel == "auto" ? "" : frame.kernel;
  return {.threads = threads(), .exact = exact, .kernel = kernel, .choices = model.string() + ".kernels.json"};
}

std::string kernel_summary(const std::vector<quant::LayerChoice>& choices) {
  std::vector<std::pair<std::string, int>> counts;
  for (const quant::LayerChoice& choice : choices) {
    const auto found =
        std::find_if(counts.begin(), counts.end(), [&](const auto& c) { return c.first == choice.kernel; });
    if (found == counts.end()) {
      counts.emplace_back(choice.kernel, 1);
    } else {
      ++found->second;
    }
  }
  std::string text;
  for (const auto& [name, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

void check_output(const std::string& file, const char* flag, const std::vector<std::filesystem::path>& inputs) {
  if (file.empty()) return;
  const std::filesystem::path path = std::filesystem::absolute(file).lexically_normal(), folder = path.parent_path();
  if (!std::filesystem::is_directory(folder))
    input_error(flag, "{}: wanted a file in a folder that is there, got none", file);
  if (!path.has_filename() || std::filesystem::is_directory(path))
    input_error(flag, "{}: wanted a file name, got a folder", file);
  // Only trying tells: access() knows of permissions, not of what the file system refuses.
  const std::filesystem::path trial = folder / fmt::format(".{}.tmp-{}", path.filename().string(), getpid());
  const Descriptor fd(::open(trial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0)
    input_error(flag, "{}: wanted a folder that can be written to, got {}: {}", file, folder.string(),
                std::strerror(errno));
  ::unlink(trial.c_str());
  for (const std::filesystem::path& input : inputs) {
    std::error_code not_there;
    const bool same = std::filesystem::equivalent(path, input, not_there) ||
                      std::filesystem::weakly_canonical(path) == std::filesystem::weakly_canonical(input);
    const bool within =
        std::filesystem::is_directory(input, not_there) && std::filesystem::equivalent(folder, input, not_there);
    if (same || within) input_error(flag, "wanted another file than {}, got {}", input.string(), file);
  }
}

std::filesystem::path data_folder() {
  if (const char* folder = std::getenv("KRONBIT_DATA"); folder && *folder) return folder;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home ? home : ".") / ".cache" / "kronbit";
}

void add_precision_option(CLI::App* command, std::string& precision) {
  command->add_option("--precision", precision, "of activations: auto (what is fastest here), fp32 or bf16");
}

DType parse_precision(const std::string& precision, const std::string& device) {
  if (device != "cpu") {
    if (precision == "fp32") input_error("--precision", "wanted bf16 with --device {}, got fp32", device);
    if (precision == "auto") return DType::BF16;
  }
  const BrgemmVariant* kernel = forced_brgemm_variant();
  if (precision == "auto") {
    const DType fastest = nn::fastest_precision();
    if (kernel == nullptr || kernel->serves(fastest)) return fastest;
    return fastest == DType::BF16 ? DType::F32 : DType::BF16;
  }
  if (precision != "fp32" && precision != "bf16") {
    input_error("--precision", "wanted auto, fp32 or bf16, got {}", precision);
  }
  const DType type = precision == "bf16" ? DType::BF16 : DType::F32;
  if (kernel != nullptr && !kernel->serves(type)) {
    input_error("--kernel", "wanted one that calculates in {} (kronbit info lists them), got {}", precision,
                kernel->name);
  }
  return type;
}

std::string product_kernel(const std::string& device, DType precision) {
  return device == "cpu" ? std::string(brgemm_variant(precision).name) : "conv-" + device;
}

const char* precision_name(DType precision) { return precision == DType::BF16 ? "bf16" : "fp32"; }

std::string resolve_precision(const std::string& precision, const std::string& device,
                              const std::filesystem::path& run) {
  const char* resolved = precision_name(parse_precision(precision, device));
  if (precision != "auto" || run.empty()) return resolved;
  const search::JournalContent known = search::read_journal(run);
  if (known.lines.empty()) return resolved;
  const Json& settings = get_object(known.lines[0], "settings", "journal");
  return has(settings, "precision") ? get_string(settings, "precision", "journal") : "fp32";
}

}  // namespace kronbit::app
