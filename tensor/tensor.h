// Tensors: a shape, a number format and shared, aligned, pooled memory. Activations are stacks of H*W matrices,
// each images x channels, with the channels padded to whole blocks of 32: layout [H][W][N][C].
// No strides, no views, no broadcasting: operators work on rows. Read docs/reading_order.md first.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tensor/base/error.h"

namespace kronbit {

/// Channels of one block: 32 bf16 = one cache line, 32 one-bit values = one uint32, DSConv's block.
inline constexpr int64_t kBlock = 32;

/// n rounded up to a multiple of `unit`.
constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Numbers from one row of an activation of c channels to the next: whole blocks, or half a block where that is enough
/// (the 16 channels of a narrow network would otherwise double its memory traffic).
constexpr int64_t pitch_of(int64_t c) { return c <= kBlock / 2 ? round_up(c, kBlock / 2) : round_up(c, kBlock); }

/// bfloat16: the upper half of a float; conversion rounds to nearest even and keeps NaN.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  explicit constexpr bf16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet_nan = (u >> 16) | 0x40u;
    bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
  }
  explicit constexpr operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  explicit constexpr operator double() const { return static_cast<double>(static_cast<float>(*this)); }
};

enum class DType { F32, BF16, F64 };
int64_t bytes_of(DType type);
const char* name_of(DType type);
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::F32;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::BF16;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::F64;
}

/// Extents of a tensor, outermost first; every extent >= 0, rank 0..8, the product fits int64.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) : Shape(std::vector<int64_t>(extents)) {}
  explicit Shape(std::vector<int64_t> extents);
  int64_t rank() const { return static_cast<int64_t>(extents_.size()); }
  int64_t operator[](int64_t axis) const { return extents_[static_cast<size_t>(axis)]; }
  int64_t count() const { return count_; }
  const std::vector<int64_t>& extents() const { return extents_; }
  std::string text() const;  ///< "[64, 3, 3, 3]"
  bool operator==(const Shape& other) const { return extents_ == other.extents_; }

 private:
  std::vector<int64_t> extents_;
  int64_t count_ = 1;
};

/// A block of numbers. Copies share the memory (clone() does not). A default-made tensor is undefined.
/// Rows: all axes but the last one; a row holds cols() numbers and the next row starts pitch() numbers later.
/// Invariant of activations: the numbers between cols() and pitch() are zero.
class Tensor {
 public:
  Tensor() = default;
  /// Rows without padding, all zero: weights, statistics, labels' matrices.
  static Tensor zeros(const Shape& shape, DType type = DType::F32);
  /// As zeros(), but nothing is zeroed: every number must be written.
  static Tensor uninitialized(const Shape& shape, DType type = DType::F32);
  /// [H][W][N][C] with the channels padded to whole blocks, all zero.
  static Tensor activation(int64_t h, int64_t w, int64_t n, int64_t c, DType type = DType::F32);
  /// As activation(), but only the padding lanes are zeroed: every logical value must be written.
  static Tensor activation_uninitialized(int64_t h, int64_t w, int64_t n, int64_t c, DType type = DType::F32);
  /// Same shape, pitch and type, all zero.
  static Tensor zeros_like(const Tensor& other);
  /// As other, nothing zeroed: every stored number must be written, padding lanes (with zeros) too.
  static Tensor uninitialized_like(const Tensor& other);
  /// A copy of `values` (row-major, values.size() == shape.count()) without padding.
  static Tensor from(const Shape& shape, const std::vector<float>& values);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return type_; }
  int64_t count() const { return shape_.count(); }   ///< logical numbers
  int64_t rows() const { return rows_; }             ///< product of all extents but the last
  int64_t cols() const { return cols_; }             ///< last extent (1 for rank 0)
  int64_t pitch() const { return pitch_; }           ///< numbers from one row to the next
  int64_t stored() const { return rows_ * pitch_; }  ///< numbers with padding
  int64_t bytes() const { return stored() * bytes_of(type_); }

  // The four extents of an activation.
  int64_t height() const { return shape_[0]; }
  int64_t width() const { return shape_[1]; }
  int64_t images() const { return shape_[2]; }
  int64_t channels() const { return shape_[3]; }

  /// The numbers; T must match dtype().
  template <class T>
  T* data() {
    KB_CHECK(dtype_of<T>() == type_);
    return static_cast<T*>(storage_.get());
  }
  template <class T>
  const T* data() const {
    KB_CHECK(dtype_of<T>() == type_);
    return static_cast<const T*>(storage_.get());
  }
  template <class T>
  T* row(int64_t index) {
    return data<T>() + index * pitch_;
  }
  template <class T>
  const T* row(int64_t index) const {
    return data<T>() + index * pitch_;
  }

  Tensor clone() const;
  Tensor to(DType type) const;        ///< converted copy; same pitch
  void copy_from(const Tensor& src);  ///< same shape and type; pitches may differ
  /// The same memory under another shape of equal count; with padding, of equal last extent too.
  Tensor reshaped(const Shape& shape) const;
  std::vector<float> values() const;  ///< a copy of the logical numbers, row-major, as float
  bool shares_memory_with(const Tensor& other) const { return storage_ == other.storage_; }
  /// No other tensor uses this memory: it may be written without anybody else noticing.
  bool unique() const { return storage_.use_count() == 1; }

 private:
  enum class Fill { Zero, ZeroPadding, Nothing };
  Tensor(Shape shape, int64_t pitch, DType type, Fill fill);
  Shape shape_;
  DType type_ = DType::F32;
  int64_t rows_ = 0, cols_ = 0, pitch_ = 0;
  std::shared_ptr<void> storage_;
};

/// Calls f.template operator()<T>() with T = float or double for the number type of a computation.
/// Throws InternalError for bf16, which is a storage format only.
template <class F>
decltype(auto) visit_float(DType type, F&& f) {
  if (type == DType::F64) return f.template operator()<double>();
  KB_CHECK(type == DType::F32);
  return f.template operator()<float>();
}

/// Calls f.template operator()<T>() with T = float, bf16 or double: for code that serves every type.
template <class F>
decltype(auto) visit_number(DType type, F&& f) {
  if (type == DType::BF16) return f.template operator()<bf16>();
  return visit_float(type, f);
}

}  // namespace kronbit
