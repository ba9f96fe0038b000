#include "nn/models/models.h"

#include <fmt/format.h>

#include <functional>

#include "nn/models/googlenet.h"
#include "nn/models/resnet.h"
#include "nn/models/toy.h"
#include "nn/models/vgg.h"
#include "tensor/io/nearest.h"
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

[[noreturn]] void unknown(std::string_view name) {
  const std::vector<std::string> names = model_names();
  const std::string known = nearest(name, names);
  const std::string hint = known.empty() ? "" : fmt::format(" (did you mean {}?)", known);
  input_error("net", "wanted one of {}, got {}{}", fmt::join(names, ", "), quote(name), hint);
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
