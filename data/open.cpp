#include "data/open.h"

#include <algorithm>

#include "data/formats.h"
#include "tensor/base/error.h"
#include "tensor/io/crc32.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::data {
namespace {

constexpr int64_t kUsualValidation = 5000;  // images, where the user says no number

struct Format {
  std::string_view name;
  Normalization normalization;
  Sources (*open)(const std::string& folder, const OpenOptions& options);
};

// A data set format is this line and a function of data/formats.h.
const Format kFormats[] = {
    {"cifar10", kCifar10, [](const std::string& folder, const OpenOptions&) { return open_cifar10(folder); }},
    {"cifar100", kCifar100, [](const std::string& folder, const OpenOptions&) { return open_cifar100(folder); }},
    {"imagenet32", kImageNet, [](const std::string& folder, const OpenOptions&) { return open_imagenet32(folder); }},
    {"folder", kImageNet,
     [](const std::string& folder, const OpenOptions& options) { return open_folder(folder, options); }},
};

const Format& find_format(std::string_view name, const std::string& spec) {
  for (const Format& format : kFormats) {
    if (format.name == name) return format;
  }
  input_error("data", "wanted synthetic, synthetic:N, cifar10:DIR, cifar100:DIR, imagenet32:DIR or folder:DIR, got {}",
              quote(spec));
}

/// Positions 0..total-1 in two: `count` of them drawn by the seed, and the others; both in order.
std::pair<std::vector<int64_t>, std::vector<int64_t>> draw(int64_t total, int64_t count, uint64_t seed) {
  std::vector<int64_t> order = Rng(seed, Purpose::Split).permutation(total);
  const auto middle = order.begin() + count;
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return {{order.begin(), middle}, {middle, order.end()}};
}

/// Fills the three data sets of `splits`. Returns: "train:5000", where the validation images are from and how many.
std::string split(const Sources& sources, const OpenOptions& options, Splits& splits) {
  const Dataset all_train(sources.train), all_test(sources.test);
  const std::string text =
      !options.validation.empty()
          ? options.validation
          : fmt::format("train:{}", std::clamp<int64_t>(all_train.size() / 5, 1, kUsualValidation));
  const bool from_test = text.starts_with("test:");
  if (!from_test && !text.starts_with("train:")) {
    input_error("validation", "wanted train:N or test:N, got {}", quote(text));
  }
  const Dataset& from = from_test ? all_test : all_train;
  const int64_t count = parse_int(std::string_view(text).substr(text.find(':') + 1), 1, INT32_MAX, "validation");
  if (count >= from.size()) {
    input_error("validation", "{}: wanted fewer than the {} images of the {} split", text, from.size(),
                from_test ? "test" : "training");
  }
  const auto [held_out, others] = draw(from.size(), count, options.seed);
  splits.validation = from.subset(held_out);
  splits.train = from_test ? all_train : all_train.subset(others);
  splits.test = from_test ? all_test.subset(others) : all_test;
  return text;
}

std::string fingerprint(const Sources& sources, const Splits& splits) {
  uint32_t sum =
      crc32(fmt::format("{} {} {} {} {} {}", sources.train->checksum(), sources.test->checksum(), splits.train.height(),
                        splits.train.width(), splits.train.classes(), splits.normalization.text()));
  for (const Dataset* set : {&splits.train, &splits.validation, &splits.test}) {
    sum = crc32(std::as_bytes(std::span(set->chosen())), sum);
  }
  return "crc32:" + hex_of(sum);
}

}  // namespace

Splits open(const std::string& spec, const OpenOptions& options) {
  Sources sources;
  Normalization normalization{{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
  if (spec == "synthetic") {
    sources = make_synthetic();
  } else if (spec.starts_with("synthetic:")) {
    sources = make_synthetic(parse_int(std::string_view(spec).substr(10), 50, 1'000'000, "data"));
  } else {
    const size_t colon = std::min(spec.find(':'), spec.size());
    const Format& format = find_format(std::string_view(spec).substr(0, colon), spec);
    const std::string folder = spec.substr(std::min(colon + 1, spec.size()));
    if (folder.empty()) input_error("data", "wanted {}:DIR, got {}", format.name, quote(spec));
    sources = format.open(folder, options);
    normalization = format.normalization;
  }
  Splits splits;
  splits.normalization = options.normalization.value_or(normalization);
  const std::string validation = split(sources, options, splits);
  splits.left_out = options.leave_out;
  splits.fingerprint = fingerprint(sources, splits);
  splits.description = fmt::format("{}: {} classes, {} x {}, {} train, {} validation ({}), {} test", spec,
                                   splits.train.classes(), splits.train.height(), splits.train.width(),
                                   splits.train.size(), splits.validation.size(), validation, splits.test.size());
  return splits;
}

}  // namespace kronbit::data
