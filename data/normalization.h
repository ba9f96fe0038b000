// What turns pixels into the numbers a network sees. Kept in checkpoints, so that a network always gets the one it
// learned.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace kronbit::data {

/// Per channel (red, green, blue), of pixels scaled to [0, 1].
/// Formula:  x = (pixel / 255 - mean) / std
struct Normalization {
  std::array<float, 3> mean{};
  std::array<float, 3> std{1, 1, 1};

  /// "R,G,B/R,G,B": mean, then std; parse_normalization() gives back the same floats.
  std::string text() const;
  bool operator==(const Normalization&) const = default;
};

inline constexpr Normalization kImageNet{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
inline constexpr Normalization kCifar10{{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
inline constexpr Normalization kCifar100{{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}};

/// [channel][pixel value]: the numbers that pixels become.
using PixelTable = std::array<std::array<float, 256>, 3>;
PixelTable pixel_table(const Normalization& normalization);

/// `text` is "imagenet", "cifar10", "cifar100" or "R,G,B/R,G,B".
/// Throws: InputError unless the six numbers are finite and every std >= 1e-6.
Normalization parse_normalization(std::string_view text);

}  // namespace kronbit::data
