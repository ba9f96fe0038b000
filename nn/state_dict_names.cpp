#include "nn/state_dict_names.h"

#include <array>
#include <regex>
#include <vector>

namespace kronbit::nn {
namespace {

/// Where `pattern` occurs in a tensor's name it becomes `replacement`, for networks whose whole name matches
/// `networks`.
struct Rule {
  std::regex networks, pattern;
  std::string replacement;
};

/// Applied in this order: Hugging Face's spelling becomes torchvision's, torchvision's becomes the network's own.
const std::vector<Rule>& rules() {
  static const std::vector<Rule> table = [] {
    const std::array<std::array<const char*, 3>, 25> rows{{
        // Hugging Face ResNet -> torchvision
        {"resnet.*", R"(^(resnet\.)?embedder\.embedder\.convolution\.)", "conv1."},
        {"resnet.*", R"(^(resnet\.)?embedder\.embedder\.normalization\.)", "bn1."},
        {"resnet.*", R"(^(resnet\.)?encoder\.stages\.0\.layers\.)", "layer1."},
        {"resnet.*", R"(^(resnet\.)?encoder\.stages\.1\.layers\.)", "layer2."},
        {"resnet.*", R"(^(resnet\.)?encoder\.stages\.2\.layers\.)", "layer3."},
        {"resnet.*", R"(^(resnet\.)?encoder\.stages\.3\.layers\.)", "layer4."},
        {"resnet.*", R"(\.layer\.0\.convolution\.)", ".conv1."},
        {"resnet.*", R"(\.layer\.1\.convolution\.)", ".conv2."},
        {"resnet.*", R"(\.layer\.2\.convolution\.)", ".conv3."},
        {"resnet.*", R"(\.layer\.0\.normalization\.)", ".bn1."},
        {"resnet.*", R"(\.layer\.1\.normalization\.)", ".bn2."},
        {"resnet.*", R"(\.layer\.2\.normalization\.)", ".bn3."},
        {"resnet.*", R"(\.shortcut\.convolution\.)", ".downsample.0."},
        {"resnet.*", R"(\.shortcut\.normalization\.)", ".downsample.1."},
        {"resnet.*", R"(^classifier\.1\.)", "fc."},
        // torchvision, timm <-> pytorch-cifar: shortcuts
        {"resnet(18|34)", R"(\.downsample\.([01])\.)", ".shortcut.$1."},
        {"resnet.*_imagenet", R"(\.shortcut\.([01])\.)", ".downsample.$1."},
        // the linear layer
        {"resnet[0-9]+", R"(^(fc|classifier)\.)", "linear."},
        {"resnet.*_imagenet", R"(^(linear|classifier)\.)", "fc."},
        {"googlenet", R"(^(fc|classifier)\.)", "linear."},
        {"googlenet_imagenet", R"(^(linear|classifier)\.)", "fc."},
        {"vgg[0-9]+", R"(^(fc|linear|head\.fc)\.)", "classifier."},
        // timm VGG: the hidden linear layers are convolutions
        {"vgg.*_imagenet", R"(^pre_logits\.fc1\.)", "classifier.0."},
        {"vgg.*_imagenet", R"(^pre_logits\.fc2\.)", "classifier.3."},
        {"vgg.*_imagenet", R"(^head\.fc\.)", "classifier.6."},
    }};
    std::vector<Rule> compiled;
    for (const auto& [networks, pattern, replacement] : rows) {
      compiled.push_back({std::regex(networks), std::regex(pattern), replacement});
    }
    return compiled;
  }();
  return table;
}

}  // namespace

bool is_ignored(std::string_view name) {
  return name.ends_with("num_batches_tracked") || name.starts_with("aux1.") || name.starts_with("aux2.") ||
         name.starts_with("optimiser.");
}

std::string canonical_name(std::string_view network, std::string name) {
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string_view prefix : {"module.", "state_dict.", "model.", "_orig_mod."}) {
      if (!name.starts_with(prefix)) continue;
      name.erase(0, prefix.size());
      stripped = true;
    }
  }
  for (const Rule& rule : rules()) {
    if (std::regex_match(network.begin(), network.end(), rule.networks)) {
      name = std::regex_replace(name, rule.pattern, rule.replacement);
    }
  }
  return name;
}

}  // namespace kronbit::nn
