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
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);  // subnormal: fraction / 1024 * 2^-14
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);    // (1 + fraction / 1024) * 2^(e-15)
}

Tensor to_tensor(const TensorInfo& info, std::string_view where, NonFinite policy) {
  Tensor tensor = Tensor::zeros(Shape(info.shape));
  float* out = tensor.data<float>();
  const auto count = static_cast<size_t>(tensor.count());
  const auto fill = [&](auto convert) {
    for (size_t i = 0; i < count; ++i) out[i] = convert(i);
  };
  switch (info.dtype) {
    case StDType::F32:
      fill([&](size_t i) { return element<float>(info, i); });
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
  for (size_t i = 0; policy == NonFinite::Refuse && i < count; ++i) {
    if (!std::isfinite(out[i])) {
      input_error(fmt::format("{}: tensor {}", where, quote(info.name, 256)),
                  "wanted finite numbers, got {} at index {}", out[i], i);
    }
  }
  return tensor;
}

}  // namespace kronbit
