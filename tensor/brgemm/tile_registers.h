// The tile registers of AMX as products use them: which tile holds what, and their configuration. Over a type of
// tiles: the processor's (amx_tiles.h) or an emulation of them (tests/tensor/emulated_tiles.h).
//
// A tile holds up to 16 rows of 64 bytes: 16 x 32 bf16 numbers of A, 16 pairs x 16 columns of B, or 16 x 16 sums.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace kronbit {
namespace {  // each file its own copy: one of them is for a processor that others are not

constexpr int64_t kTile = 16;       // rows of a tile, columns of a tile of sums
constexpr int64_t kTileDepth = 32;  // numbers of k in a tile

/// What LDTILECFG reads (Intel SDM vol. 1, 18.3.1). Tiles without rows are not in use.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  std::array<uint8_t, 14> reserved{};
  std::array<uint16_t, 16> row_bytes{};
  std::array<uint8_t, 16> rows{};
  bool operator==(const TileConfig&) const = default;
  void set(int tile, int64_t tile_rows, int64_t bytes) {
    rows[static_cast<size_t>(tile)] = static_cast<uint8_t>(tile_rows);
    row_bytes[static_cast<size_t>(tile)] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64 && offsetof(TileConfig, row_bytes) == 16 && offsetof(TileConfig, rows) == 48);

/// Calls f with the constants 0 .. N - 1: the number of a tile is part of an instruction.
template <int N, class F>
void unrolled(F f) {
  [&]<int... I>(std::integer_sequence<int, I...>) { (f(std::integral_constant<int, I>()), ...); }
  (std::make_integer_sequence<int, N>());
}

/// The numbers of the tiles of a block of M x N tiles of sums. One instruction wants tiles that agree in their rows:
/// the last tile of A, which may have fewer, is never shared with others.
template <int M, int N>
struct TileNumbers {
  static constexpr int sum(int i, int j) { return i * N + j; }
  static constexpr int a(int i) { return N == 2 ? 4 + i : i == M - 1 ? 6 : 4 + i % 2; }
  static constexpr int b(int j) { return 8 - N + j; }
};

/// Tiles for the blocks of one product: configured where the shape of a block changes, released at the end.
template <class Tiles>
class BlockTiles {
 public:
  BlockTiles() { loaded_.palette = 0; }
  ~BlockTiles() { tiles_.release(); }
  BlockTiles(const BlockTiles&) = delete;
  BlockTiles& operator=(const BlockTiles&) = delete;

  /// Tiles of exactly the size for M x N tiles of sums, rows x columns of them, over `depth` numbers of k at a time.
  /// What they hold is lost where the shape changes.
  template <int M, int N>
  Tiles& of_shape(int64_t rows, int64_t columns, int64_t depth) {
    using Number = TileNumbers<M, N>;
    TileConfig config;
    for (int i = 0; i < M; ++i) {
      const int64_t tile_rows = std::min(kTile, rows - i * kTile);
      config.set(Number::a(i), tile_rows, depth * 2);
      for (int j = 0; j < N; ++j) {
        const int64_t tile_columns = std::min(kTile, columns - j * kTile);
        config.set(Number::b(j), depth / 2, tile_columns * 4);
        config.set(Number::sum(i, j), tile_rows, tile_columns * 4);
      }
    }
    if (config != loaded_) {
      loaded_ = config;
      tiles_.configure(loaded_);
    }
    return tiles_;
  }

 private:
  [[no_unique_address]] Tiles tiles_;
  TileConfig loaded_;
};

}  // namespace
}  // namespace kronbit
