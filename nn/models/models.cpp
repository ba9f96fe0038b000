#include "nn/models/models.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "nn/models/googlenet.h"
#include "nn/models/resnet.h"
#include "nn/models/toy.h"
#include "nn/models/vgg.h"
#include "tensor/io/text.h"

namespace kronbit::nn {
namespace {

using Build = std::function<Network(const std::string& name, int64_t input_size, int classes)>;
using FamilyWithDepth = Network (*)(const std::string& name, int depth, int64_t input_size, int classes);

Build of_depth(FamilyWithDepth family, int depth) {
  return [=](const std::string& name, int64_t input_size, int classes) {
    return family(name, depth, input_size, classes);
  };
}

struct Entry {
  std::string name;
  int64_t input_size;
  int classes;
  Build build;
};

const std::vector<Entry>& registry() {
  static const std::vector<Entry> entries{
      {"vgg11", 32, 10, of_depth(vgg_cifar, 11)},
      {"vgg13", 32, 10, of_depth(vgg_cifar, 13)},
      {"vgg16", 32, 10, of_depth(vgg_cifar, 16)},
      {"vgg19", 32, 10, of_depth(vgg_cifar, 19)},
      {"resnet18", 32, 10, of_depth(resnet_cifar, 18)},
      {"resnet34", 32, 10, of_depth(resnet_cifar, 34)},
      {"resnet20", 32, 10, of_depth(resnet_thin, 20)},
      {"resnet32", 32, 10, of_depth(resnet_thin, 32)},
      {"resnet44", 32, 10, of_depth(resnet_thin, 44)},
      {"resnet56", 32, 10, of_depth(resnet_thin, 56)},
      {"googlenet", 32, 10, googlenet_cifar},
      {"toy10", 32, 10, toy_cifar},
      {"vgg16_imagenet", 224, 1000, of_depth(vgg_imagenet, 16)},
      {"resnet18_imagenet", 224, 1000, of_depth(resnet_imagenet, 18)},
      {"resnet34_imagenet", 224, 1000, of_depth(resnet_imagenet, 34)},
      {"resnet50_imagenet", 224, 1000, of_depth(resnet_imagenet, 50)},
      {"googlenet_imagenet", 224, 1000, googlenet_imagenet},
  };
  return entries;
}

/// Letters to insert, delete or replace to get from a to b.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t k = 1; k <= b.size(); ++k) {
      const size_t replaced = diagonal + (a[i - 1] == b[k - 1] ? 0 : 1);
      diagonal = std::exchange(row[k], std::min({replaced, row[k] + 1, row[k - 1] + 1}));
    }
  }
  return row.back();
}

[[noreturn]] void unknown(std::string_view name) {
  std::string nearest, all;
  size_t nearest_distance = name.size() / 2 + 1;  // farther than that is not a slip of the keyboard
  for (const Entry& entry : registry()) {
    const size_t distance = edit_distance(name, entry.name);
    if (distance < nearest_distance) {
      nearest_distance = distance;
      nearest = entry.name;
    }
    all += (all.empty() ? "" : ", ") + entry.name;
  }
  const std::string hint = nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest);
  input_error("net", "wanted one of {}, got {}{}", all, quote(name), hint);
}

const Entry& find(std::string_view name) {
  for (const Entry& entry : registry()) {
    if (entry.name == name) return entry;
  }
  unknown(name);
}

}  // namespace

Network build(std::string_view name, const ModelOptions& options) {
  const Entry& entry = find(name);
  if (options.classes < 0) input_error(name, "classes: wanted at least 1, got {}", options.classes);
  // Every network here halves the map up to five times.
  constexpr int64_t kSmallest = 32, kLargest = 4096;
  const int64_t size = options.input_size == 0 ? entry.input_size : options.input_size;
  if (size < kSmallest || size > kLargest) {
    input_error(name, "input size: wanted {} to {}, got {}", kSmallest, kLargest, size);
  }
  return entry.build(entry.name, size, options.classes == 0 ? entry.classes : options.classes);
}

int64_t usual_input_size(std::string_view name) { return find(name).input_size; }

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Entry& entry : registry()) names.push_back(entry.name);
  return names;
}

}  // namespace kronbit::nn
