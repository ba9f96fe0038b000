#include "apps/experiments/common/paper.h"

#include <algorithm>

#include "tensor/base/error.h"
#include "tensor/io/parse.h"

namespace kronbit::experiments {

const std::vector<PaperNetwork>& table1() {
  const auto row = [](const char* bits, double estimate, double top1, double sd, double delta, int total, double mb,
                      const char* note = "") {
    return PaperRow{bits, estimate, top1, sd, delta, total, mb, {}, {}, note};
  };
  static const std::vector<PaperNetwork> table{
      {"vgg16",
       93.7,
       {row("6 555 44 333 22 11", 95.5, 93.7, 0.2, -1.8, 50, 4.84, "the paper's 50 bits; the digits sum to 44"),
        row("11 22 333 44 555 6", 91.3, 87.7, 0.2, -3.6, 50, 9.50, "the paper's 50 bits; the digits sum to 44"),
        row("7 66 55 44 33 222 1", 92.1, 93.7, 0.1, 1.6, 50, 5.26),
        row("1 222 33 44 55 66 7", 90.1, 91.5, 0.4, 1.4, 50, 10.75),
        row("4", 93.3, 93.8, 0.1, 0.5, 52, 8.28, "printed with 14 digits"),
        row("3", 92.9, 93.5, 0.2, 0.6, 39, 6.44, "printed with 14 digits")}},
      {"vgg19",
       93.9,
       {row("6 555 4444 333 222 11", 94.4, 93.7, 0.1, -0.7, 54, 6.95),
        row("11 222 333 4444 555 6", 91.6, 89.6, 0.4, -2.0, 54, 12.04),
        row("5 4444 33333 2222 11", 93.9, 93.5, 0.1, -0.4, 46, 6.14),
        row("11 2222 33333 4444 5", 90.3, 88.4, 1.2, -0.9, 46, 10.05), row("3", 92.9, 93.4, 0.2, 0.5, 48, 8.76),
        row("2", 92.1, 92.2, 0.2, 0.1, 32, 6.25)}},
      {"resnet18",
       95.4,
       {row("666 5555 4444 3333 2222 1", 96.3, 95.4, 0.1, -0.9, 75, 3.72),
        row("1 2222 3333 4444 5555 666", 95.9, 92.9, 0.3, -3.0, 75, 8.00),
        row("44444444 3333333333 22", 95.3, 95.3, 0.1, 0.0, 60, 4.34, "the paper's 60 bits; the digits sum to 66"),
        row("22 3333333333 44444444", 94.5, 94.2, 0.2, -0.3, 66, 6.08), row("3", 94.4, 95.0, 0.1, 0.6, 60, 4.90),
        row("2", 93.1, 93.3, 0.5, 0.2, 40, 3.49, "printed with 18 digits")}},
      {"googlenet",
       95.5,
       {row("4x21 3x27 2x16", 94.7, 95.3, 0.1, 0.6, 207, 2.35, "the digits sum to 197"),
        row("2x16 3x27 4x21", 94.6, 94.2, 0.1, -0.4, 207, 2.98, "the digits sum to 197"),
        row("6x8 5x13 4x12 3x13 2x13 1x5", 95.8, 95.3, 0.1, -0.5, 231, 2.65),
        row("1x5 2x13 3x13 4x12 5x13 6x8", 94.7, 90.5, 0.2, -4.2, 231, 3.73, "printed with 5x14: 65 layers"),
        row("3", 94.7, 95.1, 0.1, 0.4, 192, 2.68), row("2", 93.4, 93.5, 0.2, 0.1, 127, 1.92, "128 bits")}},
  };
  return table;
}

const std::vector<PaperNetwork>& table2() {
  const auto row = [](const char* bits, double loss, double percent, const char* note = "") {
    PaperRow r{bits};
    r.loss = loss;
    r.percent = percent;
    r.note = note;
    return r;
  };
  constexpr const char* kWithoutShortcuts =
      "17 digits are the 3x3 layers; a shortcut has the bits of the layer before it";
  static const std::vector<PaperNetwork> table{
      {"resnet18",
       {},
       {row("6 4 33 222 33333333 22", 0.6, 8.0, kWithoutShortcuts),
        row("22 33333333 222 33 4 6", 1.2, 11.5, kWithoutShortcuts)}},
      {"vgg11", {}, {row("7 666 7 6 5 4", 0.1, 16.8), row("4 5 6 7 666 7", 0.5, 19.7)}},
      {"vgg16", {}, {row("4 3 222 3333 22 11", 0.8, 6.3), row("11 22 3333 222 3 4", 2.4, 8.3)}},
  };
  return table;
}

const std::vector<ComparedNetwork>& table3() {
  constexpr const char* kFullyConnected = "the digits beyond the convolutions are ReLeQ's fully connected layers";
  static const std::vector<ComparedNetwork> table{
      {"resnet18",
       "ResNet-20",
       {{"ReLeQ", "8 22 3 222 3 2 333 222 3 2222 8", kFullyConnected, 0.12, 3.88, 3.25},
        {"paper", "666 5555 4444 3333 2222 1", "", 0.1, 3.54, 2.91}}},
      {"vgg11",
       "VGG-11",
       {{"ReLeQ", "8 5 8 5 6666 8", kFullyConnected, 0.17, 6.86, 6.61}, {"paper", "777 666 55", "", 0.14, 6.35, 5.42}}},
      {"vgg16",
       "VGG-16",
       {{"ReLeQ", "888 6 8 6 8 6 8 6 8 6 8 6 8 8", kFullyConnected, 0.1, 13.32, 12.54},
        {"paper", "6 555 44 333 22 11", "", 0.1, 4.62, 3.74}}},
  };
  return table;
}

const std::vector<ImageNetRow>& table4() {
  static const std::vector<ImageNetRow> table{
      {"paper", "resnet18_imagenet", "6x3 5x5 4x5 3x5 2x2", 0.2, 4.89},
      {"DSConv", "resnet18_imagenet", "4", 0.0, 5.88},
      {"DSConv", "resnet18_imagenet", "3", 0.8, 4.55},
      {"paper", "resnet50_imagenet", "6x6 5x15 4x14 3x15 2x3", 0.6, 11.89},
      {"DSConv", "resnet50_imagenet", "4", 0.0, 14.54},
      {"DSConv", "resnet50_imagenet", "3", 0.9, 11.74},
  };
  return table;
}

Bits bits_of(const std::string& text, const std::vector<nn::ConvInfo>& layers) {
  const auto all = static_cast<int64_t>(layers.size());
  int64_t written = 0;
  for (const std::string& word : split(text, ' ')) {
    const size_t times = word.find('x');
    written += times == std::string::npos ? std::ssize(word) : parse_int(word.substr(times + 1), 1, 1000, text);
  }
  if (written == 1 || written == all) return parse_bits(text, all);
  const Bits list = parse_bits(text, written);
  if (written > all) return {list.begin(), list.begin() + all};
  Bits bits;
  size_t next = 0;
  for (const nn::ConvInfo& layer : layers) {
    const bool shortcut = layer.kernel_h == 1;
    if (shortcut ? bits.empty() : next >= list.size())
      input_error(text, "wanted bits for {} layers, got {}", all, written);
    bits.push_back(shortcut ? bits.back() : list[next++]);
  }
  if (next != list.size()) input_error(text, "wanted bits for {} layers, got {}", all, written);
  return bits;
}

}  // namespace kronbit::experiments
