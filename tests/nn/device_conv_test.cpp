// Convolutions on a device against those of nn/ops.
// Tolerance: y is rounded to bf16 on both sides, which can be one step apart (2^-7 of the number); sums of K terms in
// float differ by less than K 2^-22 times the sum of the terms' magnitudes, which a convolution of magnitudes gives.
#include <cstring>

#include "nn/ops/conv2d.h"
#include "nn/ops/conv2d_gather.h"
#include "tests/nn/device_tests.h"

namespace kronbit::nn {
namespace {

struct Case {
  ConvGeometry g;
  Conv2dOptions options;
  Tensor x, w, dy;
};

Tensor magnitudes(const Tensor& t) {
  Tensor m = t.clone();
  if (t.dtype() == DType::BF16) {
    for (int64_t i = 0; i < t.stored(); ++i) m.data<bf16>()[i].bits &= 0x7fff;
  } else {
    for (int64_t i = 0; i < t.stored(); ++i) m.data<float>()[i] = std::fabs(m.data<float>()[i]);
  }
  return m;
}

Case make(const ConvGeometry& g, Rng& rng) {
  Case c{g,
         {.in_channels = g.channels,
          .out_channels = g.outputs,
          .kernel_h = g.kernel_h,
          .kernel_w = g.kernel_w,
          .stride = g.stride,
          .pad = g.pad},
         random_activation(g.height, g.width, g.images, g.channels, rng),
         random_tensor({g.outputs, g.channels, g.kernel_h, g.kernel_w}, rng),
         random_activation(g.out_height(), g.out_width(), g.images, g.outputs, rng)};
  return c;
}

std::string text(const ConvGeometry& g) {
  return fmt::format("{}x{} map, {} images, {}->{} channels, {}x{} stride {} pad {}", g.height, g.width, g.images,
                     g.channels, g.outputs, g.kernel_h, g.kernel_w, g.stride, g.pad);
}

void check_forward(const Bench& at, const Case& c, const Tensor& want, const Tensor& magnitude) {
  const DeviceOps& ops = device_ops(at.device);
  Guarded<bf16> x = to_device<bf16>(at.device, c.x), packed(at.device, packed_weights(c.g));
  Guarded<float> w = to_device<float>(at.device, c.w);
  Guarded<bf16> y(at.device, want.stored());
  const int parts = conv_sum_parts(c.g), pitch = c.g.out_pitch();
  Guarded<float> sums(at.device, static_cast<int64_t>(parts) * 2 * pitch);
  std::vector<float> centre(static_cast<size_t>(c.g.outputs));
  for (size_t o = 0; o < centre.size(); ++o) centre[o] = 0.25f * static_cast<float>(o % 5) - 0.5f;
  Guarded<float> device_centre(at.device, centre);
  ops.pack_weights(c.g, w.data(), packed.data(), nullptr, at.queue);
  ops.conv_forward(c.g, x.data(), packed.data(), y.data(), {device_centre.data(), sums.data()}, at.queue);
  const Tensor got = to_host(y, want);
  const double k = static_cast<double>(c.g.taps() * c.g.channels);
  expect_near(got, want, 0x1p-7, magnitude, k * 0x1p-22);
  packed.values();

  // The sums are those of the numbers that were written.
  const std::vector<float> found = sums.values();
  for (int o = 0; o < pitch; ++o) {
    double sum = 0, squares = 0, bound = 0, first = 0, second = 0;
    for (int64_t r = 0; r < got.rows() && o < c.g.outputs; ++r) {
      const double d = static_cast<double>(got.row<bf16>(r)[o]) - static_cast<double>(centre[static_cast<size_t>(o)]);
      sum += d;
      squares += d * d;
      bound += std::fabs(d);
    }
    for (int p = 0; p < parts; ++p) {
      first += static_cast<double>(found[static_cast<size_t>((2 * p) * pitch + o)]);
      second += static_cast<double>(found[static_cast<size_t>((2 * p + 1) * pitch + o)]);
    }
    ASSERT_NEAR(first, sum, 128 * 0x1p-23 * bound) << "channel " << o;
    ASSERT_NEAR(second, squares, 130 * 0x1p-23 * squares) << "channel " << o;
  }
}

void check_backward(const Bench& at, const Case& c, const Tensor& dx, const Tensor& dx_magnitude, const Tensor& dw,
                    const Tensor& dw_magnitude) {
  const DeviceOps& ops = device_ops(at.device);
  Guarded<bf16> x = to_device<bf16>(at.device, c.x), dy = to_device<bf16>(at.device, c.dy);
  Guarded<bf16> packed(at.device, packed_weights(c.g)), got_dx(at.device, dx.stored());
  Guarded<float> w = to_device<float>(at.device, c.w), got_dw(at.device, dw.stored());
  Guarded<float> workspace(at.device, weight_gradient_workspace(c.g));
  ops.pack_weights(c.g, w.data(), nullptr, packed.data(), at.queue);
  ops.conv_backward_data(c.g, dy.data(), packed.data(), got_dx.data(), at.queue);
  ops.conv_backward_weights(c.g, dy.data(), x.data(), workspace.data(), got_dw.data(), at.queue);
  expect_near(to_host(got_dx, dx), dx, 0x1p-7, dx_magnitude, c.g.taps() * c.g.outputs * 0x1p-22);
  expect_near(to_host(got_dw, dw), dw, 0, dw_magnitude, c.g.out_rows() * 0x1p-22);
  workspace.values();
}

void check_case(const ConvGeometry& g, Rng& rng) {
  SCOPED_TRACE(text(g));
  const Case c = make(g, rng);
  const Tensor y = conv2d_forward(c.x, c.w, c.options);
  const Tensor y_magnitude = conv2d_forward(magnitudes(c.x), magnitudes(c.w), c.options);
  const Tensor dx = conv2d_backward_data(c.dy, c.w, c.x.shape(), c.options);
  const Tensor dx_magnitude = conv2d_backward_data(magnitudes(c.dy), magnitudes(c.w), c.x.shape(), c.options);
  const Tensor dw = conv2d_backward_weights(c.dy, c.x, c.options);
  const Tensor dw_magnitude = conv2d_backward_weights(magnitudes(c.dy), magnitudes(c.x), c.options);
  on_devices([&](const Bench& at) {
    check_forward(at, c, y, y_magnitude);
    check_backward(at, c, dx, dx_magnitude, dw, dw_magnitude);
  });
}

TEST(DeviceConv, TheUsualLayers) {
  Rng rng(1, Purpose::Test);
  check_case({4, 4, 5, 16, 16, 3, 3, 1, 1}, rng);
  check_case({5, 4, 3, 32, 64, 3, 3, 2, 1}, rng);
  check_case({4, 6, 2, 48, 32, 1, 1, 2, 0}, rng);
  check_case({2, 2, 70, 64, 100, 3, 3, 1, 1}, rng);
  check_case({7, 7, 1, 20, 70, 5, 5, 1, 2}, rng);
  check_case({9, 8, 1, 17, 16, 7, 7, 2, 3}, rng);
}

TEST(DeviceConv, WholeStepsOutsideTheImageAreLeftOut) {
  Rng rng(5, Purpose::Test);
  check_case({2, 2, 32, 128, 16, 3, 3, 1, 1}, rng);
  check_case({3, 2, 64, 140, 40, 3, 3, 2, 1}, rng);
}

TEST(DeviceConv, RandomLayers) {
  Rng rng(2, Purpose::Test);
  for (int i = 0; i < 8; ++i) {
    ConvGeometry g;
    g.kernel_h = g.kernel_w = 1 + 2 * static_cast<int>(rng.below(4));
    g.stride = 1 + static_cast<int>(rng.below(3));
    g.pad = std::min(static_cast<int>(rng.below(4)), g.kernel_h - 1);
    g.height = g.kernel_h + static_cast<int>(rng.below(4));
    g.width = g.kernel_w + static_cast<int>(rng.below(4));
    g.images = 1 + static_cast<int>(rng.below(static_cast<uint64_t>(std::clamp(250 / (g.height * g.width), 1, 70))));
    const bool small = g.kernel_h < 5;
    g.channels = 3 + static_cast<int>(rng.below(small ? 50 : 20));
    g.outputs = 3 + static_cast<int>(rng.below(small ? 98 : 30));
    check_case(g, rng);
  }
}

TEST(DeviceConv, LargeTilesAndNone) {
  Rng rng(3, Purpose::Test);
  check_case({2, 3, 0, 16, 16, 3, 3, 1, 1}, rng);
  // Tiles of 128 rows and 128 or 64 columns, which results large enough for a GPU get.
  check_case({3, 3, 33, 40, 140, 3, 3, 1, 1, 1}, rng);
  check_case({5, 5, 7, 64, 50, 3, 3, 2, 1, 1}, rng);
  check_case({3, 2, 20, 16, 130, 1, 1, 1, 0}, rng);
}

TEST(DeviceConv, ResultsDoNotDependOnTheTile) {
  Rng rng(6, Purpose::Test);
  const Case c = make({4, 3, 20, 33, 130, 3, 3, 1, 1}, rng);
  on_devices([&](const Bench& at) {
    const DeviceOps& ops = device_ops(at.device);
    Guarded<bf16> x = to_device<bf16>(at.device, c.x), packed(at.device, packed_weights(c.g));
    Guarded<float> w = to_device<float>(at.device, c.w);
    ops.pack_weights(c.g, w.data(), packed.data(), nullptr, at.queue);
    Tensor y[2];
    for (const int least_blocks : {1, 264}) {
      ConvGeometry g = c.g;
      g.least_blocks = least_blocks;
      Guarded<bf16> result(at.device, c.dy.stored());
      ops.conv_forward(g, x.data(), packed.data(), result.data(), {}, at.queue);
      y[least_blocks == 1] = to_host(result, c.dy);
    }
    expect_same_bits<bf16>(y[0], y[1]);
  });
}

TEST(DeviceConv, TheFirstLayerGathersItsRows) {
  Rng rng(4, Purpose::Test);
  for (const ConvGeometry& g : {ConvGeometry{6, 5, 3, 3, 20, 3, 3, 1, 1}, ConvGeometry{9, 9, 2, 3, 16, 7, 7, 2, 3},
                                ConvGeometry{6, 5, 1, 1, 8, 5, 5, 1, 0}}) {
    SCOPED_TRACE(text(g));
    const Case c = make(g, rng);
    const Tensor want = gather(c.x, c.options);
    on_devices([&](const Bench& at) {
      Guarded<bf16> x = to_device<bf16>(at.device, c.x), rows(at.device, want.stored());
      device_ops(at.device).gather(g, x.data(), rows.data(), at.queue);
      expect_same_bits<bf16>(to_host(rows, want), want);
    });
    // The weights of the convolution on gathered rows are the same numbers in the same order.
    const ConvGeometry one = g.gathered();
    Case as_one{one, gathered(c.options), want, c.w.reshaped({one.outputs, one.channels, 1, 1}), c.dy};
    const Tensor y = conv2d_forward(as_one.x, as_one.w, as_one.options);
    const Tensor magnitude = conv2d_forward(magnitudes(as_one.x), magnitudes(as_one.w), as_one.options);
    on_devices([&](const Bench& at) { check_forward(at, as_one, y, magnitude); });
  }
}

}  // namespace
}  // namespace kronbit::nn
