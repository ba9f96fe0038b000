// What the tests of operators on devices share: the devices that can be had, both orders of threads where one is
// simulated, tensors there and back with guards behind them, and random cases.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nn/cuda/device_ops.h"
#include "tensor/cuda/device.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace kronbit::nn {

/// One way to run: a device and the order of its threads.
struct Bench {
  Device& device;
  DeviceQueue queue;
};

/// Calls check(bench) for the simulated device in both orders and for the GPU where there is one.
template <class Check>
void on_devices(const Check& check) {
  static const std::unique_ptr<Device> simulated = open_simulated_device();
  static std::string why;
  static const std::unique_ptr<Device> gpu = open_cuda_device(why);
  for (const bool backward : {false, true}) {
    SCOPED_TRACE(backward ? "simulated, threads backward" : "simulated");
    check(Bench{*simulated, {simulated->stream(), backward}});
  }
  if (gpu == nullptr) {
    ::testing::Test::RecordProperty("no_gpu", why);
    return;
  }
  SCOPED_TRACE("GPU");
  check(Bench{*gpu, {gpu->stream(), false}});
}

/// Numbers on a device with a guard behind them that check() looks at.
template <class T>
class Guarded {
 public:
  Guarded(Device& device, int64_t count) : count_(count), array_(device, count + kGuard) {
    std::vector<T> all(static_cast<size_t>(count + kGuard));
    std::memset(static_cast<void*>(all.data()), 0xa5, all.size() * sizeof(T));
    array_.upload(all.data());
  }
  Guarded(Device& device, const T* from, int64_t count) : Guarded(device, count) {
    device.upload(array_.data(), from, static_cast<size_t>(count) * sizeof(T));
  }
  Guarded(Device& device, const std::vector<T>& from)
      : Guarded(device, from.data(), static_cast<int64_t>(from.size())) {}
  T* data() { return array_.data(); }
  /// The numbers; the guard must be as it was.
  std::vector<T> values() const {
    std::vector<T> all = array_.values();
    const auto* guard = reinterpret_cast<const unsigned char*>(all.data() + count_);
    for (size_t i = 0; i < kGuard * sizeof(T); ++i) {
      if (guard[i] == 0xa5) continue;
      ADD_FAILURE() << "byte " << i << " behind " << count_ << " numbers was written";
      break;
    }
    all.resize(static_cast<size_t>(count_));
    return all;
  }

 private:
  static constexpr int64_t kGuard = 64;
  int64_t count_;
  DeviceArray<T> array_;
};

/// A tensor's memory, padding included, on the device and back.
template <class T>
Guarded<T> to_device(Device& device, const Tensor& t) {
  return {device, t.data<T>(), t.stored()};
}
template <class T>
Tensor to_host(const Guarded<T>& array, const Tensor& like) {
  Tensor t = Tensor::uninitialized_like(like);
  const std::vector<T> values = array.values();
  KB_CHECK_EQ(static_cast<int64_t>(values.size()), t.stored());
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

/// Numbers of about unit size.
inline Tensor random_tensor(const Shape& shape, Rng& rng) {
  Tensor t = Tensor::zeros(shape);
  for (int64_t i = 0; i < t.count(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t;
}
/// An activation in bf16.
inline Tensor random_activation(int64_t h, int64_t w, int64_t n, int64_t c, Rng& rng) {
  Tensor t = Tensor::activation(h, w, n, c, DType::BF16);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t k = 0; k < c; ++k) t.row<bf16>(r)[k] = bf16(static_cast<float>(rng.normal()));
  return t;
}

/// Every stored number of `got`, padding included, is near `want`: at most relative * |want| + slack.
/// Shapes:   slack as want: what sums may differ by
inline void expect_near(const Tensor& got, const Tensor& want, double relative, const Tensor& slack, double factor,
                        double absolute = 0) {
  const std::vector<float> g = got.values(), w = want.values(), s = slack.values();
  ASSERT_EQ(g.size(), w.size());
  int wrong = 0;
  for (size_t i = 0; i < g.size() && wrong < 3; ++i) {
    const double most =
        relative * std::fabs(static_cast<double>(w[i])) + factor * std::fabs(static_cast<double>(s[i])) + absolute;
    if (std::fabs(static_cast<double>(g[i]) - static_cast<double>(w[i])) <= most) continue;
    ADD_FAILURE() << "number " << i << ": wanted " << w[i] << " within " << most << ", got " << g[i];
    ++wrong;
  }
  if (got.dtype() != DType::BF16) return;
  for (int64_t r = 0; r < got.rows(); ++r)
    for (int64_t c = got.cols(); c < got.pitch(); ++c)
      ASSERT_EQ(got.row<bf16>(r)[c].bits & 0x7fff, 0) << "padding lane " << c << " of row " << r;
}

/// All stored bits are equal.
template <class T>
void expect_same_bits(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.stored(), want.stored());
  const auto differs = [&](int64_t i) { return std::memcmp(got.data<T>() + i, want.data<T>() + i, sizeof(T)) != 0; };
  for (int64_t i = 0; i < got.stored(); ++i) {
    ASSERT_FALSE(differs(i)) << "number " << i << ": wanted " << static_cast<float>(want.data<T>()[i]) << ", got "
                             << static_cast<float>(got.data<T>()[i]);
  }
}

}  // namespace kronbit::nn
