// The tile registers of AMX in plain C++, after the operations and exceptions of LDTILECFG, TILEZERO, TILELOADD,
// TILESTORED, TDPBF16PS and TILERELEASE in the Intel SDM (vol. 2): what would be a fault there is an InternalError
// here.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "tensor/base/error.h"
#include "tensor/brgemm/tile_registers.h"
#include "tensor/tensor.h"

namespace kronbit {

class EmulatedTiles {
 public:
  void configure(const TileConfig& config) {
    KB_CHECK(reinterpret_cast<uintptr_t>(&config) % 64 == 0);  // allowed, but slow
    std::array<uint8_t, 64> bytes;
    std::memcpy(bytes.data(), &config, bytes.size());
    KB_CHECK_EQ(bytes[0], 1);
    KB_CHECK_EQ(bytes[1], 0);
    for (size_t i = 2; i < 16; ++i) KB_CHECK_EQ(bytes[i], 0);
    for (size_t i = 32; i < 48; ++i) KB_CHECK_EQ(bytes[i], 0);
    for (size_t i = 56; i < 64; ++i) KB_CHECK_EQ(bytes[i], 0);
    tiles_.emplace();
    for (size_t t = 0; t < 8; ++t) {
      Tile& tile = (*tiles_)[t];
      tile.rows = bytes[48 + t];
      tile.row_bytes = bytes[16 + 2 * t] + 256 * bytes[17 + 2 * t];
      KB_CHECK(tile.rows <= 16 && tile.row_bytes <= 64);
      KB_CHECK_EQ(tile.rows == 0, tile.row_bytes == 0);
    }
  }
  void release() { tiles_.reset(); }

  template <int T>
  void zero() {
    at(T).data = {};
  }
  template <int T>
  void load(const void* from, int64_t row_bytes) {
    Tile& tile = at(T);
    tile.data = {};
    for (int64_t r = 0; r < tile.rows; ++r) {
      std::memcpy(tile.data[static_cast<size_t>(r)].data(), static_cast<const char*>(from) + r * row_bytes,
                  static_cast<size_t>(tile.row_bytes));
    }
  }
  template <int T>
  void store(void* to, int64_t row_bytes) {
    const Tile& tile = at(T);
    for (int64_t r = 0; r < tile.rows; ++r) {
      std::memcpy(static_cast<char*>(to) + r * row_bytes, tile.data[static_cast<size_t>(r)].data(),
                  static_cast<size_t>(tile.row_bytes));
    }
  }
  template <int S, int A, int B>
  void add_products() {
    static_assert(S != A && S != B && A != B);
    Tile& sum = at(S);
    const Tile &a = at(A), &b = at(B);
    KB_CHECK(sum.row_bytes % 4 == 0 && a.row_bytes % 4 == 0 && b.row_bytes % 4 == 0);
    KB_CHECK_EQ(sum.rows, a.rows);
    KB_CHECK_EQ(sum.row_bytes, b.row_bytes);
    KB_CHECK_EQ(a.row_bytes / 4, b.rows);
    for (int64_t m = 0; m < sum.rows; ++m) {
      std::array<float, 32> products{};  // even and odd numbers of k apart
      for (int64_t k = 0; k < b.rows; ++k) {
        for (int64_t n = 0; n < sum.row_bytes / 4; ++n) {
          for (int64_t half = 0; half < 2; ++half) {
            float& to = products[static_cast<size_t>(2 * n + half)];
            to = flushed(std::fma(a.number(m, 2 * k + half), b.number(k, 2 * n + half), to));
          }
        }
      }
      for (int64_t n = 0; n < sum.row_bytes / 4; ++n) {
        const auto at_n = static_cast<size_t>(2 * n);
        const float both = flushed(products[at_n] + products[at_n + 1]);
        float old;
        char* place = reinterpret_cast<char*>(sum.data[static_cast<size_t>(m)].data()) + 4 * n;
        std::memcpy(&old, place, sizeof old);
        const float updated = flushed(flushed(old) + both);
        std::memcpy(place, &updated, sizeof updated);
      }
    }
  }
  static void round(const float* sums, int64_t columns, bf16* to) {
    for (int64_t j = 0; j < columns; ++j) to[j] = bf16(sums[j]);
  }

 private:
  struct Tile {
    int64_t rows = 0, row_bytes = 0;
    std::array<std::array<uint8_t, 64>, 16> data{};
    float number(int64_t r, int64_t index) const {
      bf16 value;
      std::memcpy(&value.bits, data[static_cast<size_t>(r)].data() + 2 * index, sizeof value.bits);
      return flushed(float(value));
    }
  };
  static float flushed(float v) { return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v; }
  /// A tile in use.
  Tile& at(int t) {
    KB_CHECK(tiles_.has_value());
    Tile& tile = (*tiles_)[static_cast<size_t>(t)];
    KB_CHECK(tile.rows > 0);
    return tile;
  }

  std::optional<std::array<Tile, 8>> tiles_;
};

}  // namespace kronbit
