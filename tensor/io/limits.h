// What a file may ask of us, in one place. Each limit is far above any honest file and far below what would hurt.
#pragma once

#include <cstdint>

namespace kronbit {

inline constexpr int64_t kMaxHeaderBytes = 16 << 20;        ///< safetensors header: 100k tensors of ~160 bytes each
inline constexpr int64_t kMaxTensorFileBytes = 16ll << 30;  ///< one weights file: 4 G numbers in FP32
inline constexpr int64_t kMaxTensors = 100'000;             ///< the largest networks have a few thousand
inline constexpr int64_t kMaxRank = 8;                      ///< as Shape
inline constexpr int64_t kMaxNameBytes = 256;               ///< tensor and node names
inline constexpr int64_t kMaxJsonBytes = 16 << 20;          ///< one JSON text
inline constexpr int64_t kMaxJsonDepth = 64;                ///< our own files need 6; recursion stays shallow
inline constexpr int64_t kMaxJsonValues = 1 << 20;          ///< at ~48 bytes each: the parsed text stays under 64 MB
inline constexpr int64_t kMaxJournalBytes = 1ll << 30;      ///< 10^6 evaluations of 1 kB
inline constexpr int64_t kMaxJournalLineBytes = 1 << 20;    ///< one evaluation is under 2 kB
inline constexpr int64_t kMaxClasses = 65'536;              ///< classes of a data set

}  // namespace kronbit
