#include "data/normalization.h"

#include <charconv>
#include <cmath>

#include "tensor/base/error.h"

namespace kronbit::data {
namespace {

/// The three numbers at the front of `text`, which is cut after them. False when they are not there.
bool take_triple(std::string_view& text, std::array<float, 3>& values) {
  for (size_t c = 0; c < 3; ++c) {
    if (c > 0) {
      if (text.empty() || text.front() != ',') return false;
      text.remove_prefix(1);
    }
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), values[c]);
    if (status != std::errc() || !std::isfinite(values[c])) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
  }
  return true;
}

}  // namespace

std::string Normalization::text() const {
  return fmt::format("{},{},{}/{},{},{}", mean[0], mean[1], mean[2], std[0], std[1], std[2]);
}

PixelTable pixel_table(const Normalization& normalization) {
  PixelTable table;
  for (size_t c = 0; c < 3; ++c)
    for (size_t v = 0; v < 256; ++v)
      table[c][v] = (static_cast<float>(v) / 255.0f - normalization.mean[c]) / normalization.std[c];
  return table;
}

Normalization parse_normalization(std::string_view text) {
  if (text == "imagenet") return kImageNet;
  if (text == "cifar10") return kCifar10;
  if (text == "cifar100") return kCifar100;
  Normalization result;
  std::string_view rest = text;
  bool good = take_triple(rest, result.mean) && !rest.empty() && rest.front() == '/';
  if (good) {
    rest.remove_prefix(1);
    good = take_triple(rest, result.std) && rest.empty();
  }
  for (float s : result.std) good = good && s >= 1e-6f;
  if (!good) {
    input_error("normalize",
                "wanted imagenet, cifar10, cifar100 or R,G,B/R,G,B (mean, then std, 1e-6 at least), got \"{}\"", text);
  }
  return result;
}

}  // namespace kronbit::data
