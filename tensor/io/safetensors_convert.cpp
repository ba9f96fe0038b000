#include <bit>
#include <cmath>

#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

// Element i of the (possibly unaligned) bytes as T.
template <class T>
T element(const TensorInfo& info, size_t i) {
  T value;
  std::memcpy(&value, info.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

float bf16_of_bits(uint16_t bits) {
  bf16 value;
  value.bits = bits;
  return static_cast<float>(value);
}

}  // namespace

float float_of_f16(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16, magnitude = (bits & 0x7fffu) << 13;  // in the places of a float
  const uint32_t exponent = magnitude >> 23;
  float value = std::bit_cast<float>(magnitude + (112u << 23));                          // exponent bias 15 -> 127
  if (exponent == 0) value = std::bit_cast<float>(magnitude + (113u << 23)) - 0x1p-14f;  // fraction / 1024 * 2^-14
  if (exponent == 31) value = magnitude == 31u << 23 ? INFINITY : NAN;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

namespace {

void convert(const TensorInfo& info, std::string_view where, float* out, size_t count) {
  const auto fill = [&](auto number) {
    for (size_t i = 0; i < count; ++i) out[i] = number(i);
  };
  switch (info.dtype) {
    case StDType::F32:
      if (count > 0) std::memcpy(out, info.bytes.data(), 4 * count);
      break;
    case StDType::F64:
      fill([&](size_t i) { return static_cast<float>(element<double>(info, i)); });
      break;
    case StDType::F16:
      fill([&](size_t i) { return float_of_f16(element<uint16_t>(info, i)); });
      break;
    case StDType::BF16:
      fill([&](size_t i) { return bf16_of_bits(element<uint16_t>(info, i)); });
      break;
    default:
      input_error(fmt::format("{}: tensor {}", where, quote(info.name, 256)),
                  "dtype: wanted F32, F16, BF16 or F64, got {}", name_of(info.dtype));
  }
  for (size_t i = 0; i < count; ++i) {
    if (!std::isfinite(out[i])) {
      input_error(fmt::format("{}: tensor {}", where, quote(info.name, 256)),
                  "wanted finite numbers, got {} at index {}", out[i], i);
    }
  }
}

}  // namespace

Tensor to_tensor(const TensorInfo& info, std::string_view where) {
  Tensor tensor = Tensor::uninitialized(Shape(info.shape));
  convert(info, where, tensor.data<float>(), static_cast<size_t>(tensor.count()));
  return tensor;
}

std::vector<float> to_floats(const TensorInfo& info, std::string_view where) {
  std::vector<float> numbers(static_cast<size_t>(Shape(info.shape).count()));
  convert(info, where, numbers.data(), numbers.size());
  return numbers;
}

}  // namespace kronbit
