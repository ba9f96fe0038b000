#include "tensor/tensor.h"

#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <type_traits>

#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/rows/rows.h"

namespace kronbit {

int64_t bytes_of(DType type) { return type == DType::F32 ? 4 : type == DType::BF16 ? 2 : 8; }
const char* name_of(DType type) { return type == DType::F32 ? "F32" : type == DType::BF16 ? "BF16" : "F64"; }

Shape::Shape(std::vector<int64_t> extents) : extents_(std::move(extents)) {
  if (extents_.size() > 8) input_error("shape", "rank: wanted 0..8, got {}", extents_.size());
  for (int64_t e : extents_) {
    if (e < 0 || __builtin_mul_overflow(count_, e, &count_))
      input_error("shape", "wanted non-negative extents whose product fits 63 bits, got {}", text());
  }
}

std::string Shape::text() const { return fmt::format("[{}]", fmt::join(extents_, ", ")); }

Tensor::Tensor(Shape shape, int64_t pitch, DType type, Fill fill)
    : shape_(std::move(shape)), type_(type), pitch_(pitch) {
  cols_ = shape_.rank() == 0 ? 1 : shape_[shape_.rank() - 1];
  rows_ = 1;
  for (int64_t a = 0; a + 1 < shape_.rank(); ++a) rows_ *= shape_[a];
  int64_t total = 0;
  if (__builtin_mul_overflow(rows_, pitch_, &total) || __builtin_mul_overflow(total, bytes_of(type), &total)) {
    input_error("tensor", "{} does not fit memory", shape_.text());
  }
  const auto size_in_bytes = static_cast<size_t>(total);
  storage_ = fill == Fill::Zero ? allocate_zeroed(size_in_bytes) : allocate(size_in_bytes);
  if (fill == Fill::ZeroPadding && pitch_ > cols_) {
    const auto size = static_cast<size_t>(bytes_of(type_));
    auto* base = static_cast<char*>(storage_.get());
    parallel_for(rows_, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        std::memset(base + static_cast<size_t>(r * pitch_ + cols_) * size, 0,
                    static_cast<size_t>(pitch_ - cols_) * size);
      }
    });
  }
}

Tensor Tensor::zeros(const Shape& shape, DType type) {
  return Tensor(shape, shape.rank() == 0 ? 1 : shape[shape.rank() - 1], type, Fill::Zero);
}
Tensor Tensor::uninitialized(const Shape& shape, DType type) {
  return Tensor(shape, shape.rank() == 0 ? 1 : shape[shape.rank() - 1], type, Fill::Nothing);
}
Tensor Tensor::activation(int64_t h, int64_t w, int64_t n, int64_t c, DType type) {
  return Tensor({h, w, n, c}, pitch_of(c), type, Fill::Zero);
}
Tensor Tensor::activation_uninitialized(int64_t h, int64_t w, int64_t n, int64_t c, DType type) {
  return Tensor({h, w, n, c}, pitch_of(c), type, Fill::ZeroPadding);
}
Tensor Tensor::zeros_like(const Tensor& other) { return Tensor(other.shape_, other.pitch_, other.type_, Fill::Zero); }
Tensor Tensor::uninitialized_like(const Tensor& other) {
  return Tensor(other.shape_, other.pitch_, other.type_, Fill::Nothing);
}

Tensor Tensor::from(const Shape& shape, const std::vector<float>& values) {
  KB_CHECK_EQ(static_cast<int64_t>(values.size()), shape.count());
  Tensor t = zeros(shape);
  if (!values.empty()) std::memcpy(t.data<float>(), values.data(), values.size() * sizeof(float));
  return t;
}

Tensor Tensor::clone() const {
  Tensor t(shape_, pitch_, type_, Fill::Nothing);
  if (bytes() > 0) std::memcpy(t.storage_.get(), storage_.get(), static_cast<size_t>(bytes()));
  return t;
}

Tensor Tensor::to(DType type) const {
  if (type == type_) return clone();
  Tensor t(shape_, pitch_, type, Fill::Nothing);
  constexpr int64_t kGrain = 1 << 16;
  parallel_for(stored(), kGrain, [&](int64_t begin, int64_t end) {
    if (type_ == DType::F32 && type == DType::BF16)
      return float_kernels().to_bf16(end - begin, data<float>() + begin, t.data<bf16>() + begin);
    if (type_ == DType::BF16 && type == DType::F32)
      return float_kernels().to_float(end - begin, data<bf16>() + begin, t.data<float>() + begin);
    // From or to double, which only definitions and tests use: by way of float where bf16 is the other side.
    visit_number(type_, [&]<class From>() {
      visit_number(type, [&]<class To>() {
        using Way = std::conditional_t<std::is_same_v<From, bf16> || std::is_same_v<To, bf16>, float, double>;
        for (int64_t i = begin; i < end; ++i) t.data<To>()[i] = static_cast<To>(static_cast<Way>(data<From>()[i]));
      });
    });
  });
  return t;
}

void Tensor::copy_from(const Tensor& src) {
  KB_CHECK(src.shape_ == shape_ && src.type_ == type_);
  const auto size = static_cast<size_t>(bytes_of(type_));
  for (int64_t r = 0; r < rows_; ++r) {
    std::memcpy(static_cast<char*>(storage_.get()) + static_cast<size_t>(r * pitch_) * size,
                static_cast<const char*>(src.storage_.get()) + static_cast<size_t>(r * src.pitch_) * size,
                static_cast<size_t>(cols_) * size);
  }
}

Tensor Tensor::reshaped(const Shape& shape) const {
  KB_CHECK_EQ(shape.count(), shape_.count());
  const int64_t columns = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
  KB_CHECK(columns == cols_ || pitch_ == cols_);
  Tensor t = *this;
  t.shape_ = shape;
  if (columns != cols_) t.cols_ = t.pitch_ = columns;
  t.rows_ = 1;
  for (int64_t a = 0; a + 1 < shape.rank(); ++a) t.rows_ *= shape[a];
  return t;
}

std::vector<float> Tensor::values() const {
  std::vector<float> out;
  out.reserve(static_cast<size_t>(count()));
  visit_number(type_, [&]<class T>() {
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < cols_; ++c) out.push_back(static_cast<float>(row<T>(r)[c]));
  });
  return out;
}

}  // namespace kronbit
