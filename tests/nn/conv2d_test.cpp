// Convolution against seven plain loops in double, over random and degenerate shapes, and its gradients.
#include "nn/ops/conv2d.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/ops/conv_norm.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"
#include "tests/tensor/keep_threads.h"
#include "tests/tensor/message_of.h"

namespace kronbit::nn {
namespace {

/// A value and the size of its summands, which bounds rounding.
struct Sum {
  double value = 0, size = 0;
  void add(double a, double b) {
    value += a * b;
    size += std::abs(a * b);
  }
};

/// Dense result of the reference: [rows][cols] of the tensor it stands for.
using Sums = std::vector<Sum>;

struct Reference {
  Sums y, dx, dw;
};

/// Weights beside activations of type T: those of bf16 activations are f32.
template <class T>
using Weight = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

template <class T>
Reference reference(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv2dOptions& o) {
  Reference r{Sums(static_cast<size_t>(dy.count())), Sums(static_cast<size_t>(x.count())),
              Sums(static_cast<size_t>(w.count()))};
  for (int64_t h = 0; h < dy.height(); ++h)
    for (int64_t v = 0; v < dy.width(); ++v)
      for (int64_t n = 0; n < x.images(); ++n)
        for (int64_t k = 0; k < o.out_channels; ++k)
          for (int64_t i = 0; i < o.kernel_h; ++i)
            for (int64_t j = 0; j < o.kernel_w; ++j)
              for (int64_t c = 0; c < o.in_channels; ++c) {
                const int64_t xh = h * o.stride - o.pad + i, xw = v * o.stride - o.pad + j;
                if (xh < 0 || xh >= x.height() || xw < 0 || xw >= x.width()) continue;
                const int64_t x_row = (xh * x.width() + xw) * x.images() + n,
                              y_row = (h * dy.width() + v) * x.images() + n;
                const int64_t w_at = ((k * o.in_channels + c) * o.kernel_h + i) * o.kernel_w + j;
                const auto xv = static_cast<double>(x.row<T>(x_row)[c]);
                const auto wv = static_cast<double>(w.data<Weight<T>>()[w_at]);
                const auto g = static_cast<double>(dy.row<T>(y_row)[k]);
                r.y[static_cast<size_t>(y_row * o.out_channels + k)].add(xv, wv);
                r.dx[static_cast<size_t>(x_row * o.in_channels + c)].add(g, wv);
                r.dw[static_cast<size_t>(w_at)].add(g, xv);
              }
  return r;
}

template <class T>
void expect_equal(const char* what, const Tensor& got, const Sums& want) {
  const double epsilon = sizeof(T) <= 4 ? 1e-5 : 1e-13;
  const double rounding = sizeof(T) == 2 ? 0x1p-8 : 0;  // of the result
  for (int64_t r = 0; r < got.rows(); ++r) {
    for (int64_t c = 0; c < got.pitch(); ++c) {
      const auto value = static_cast<double>(got.row<T>(r)[c]);
      if (c >= got.cols()) {
        ASSERT_EQ(value, 0.0) << what << ": padding lane " << c << " of row " << r;
        continue;
      }
      const Sum& sum = want[static_cast<size_t>(r * got.cols() + c)];
      ASSERT_NEAR(value, sum.value, epsilon * sum.size + rounding * std::abs(sum.value))
          << what << ": row " << r << " channel " << c;
    }
  }
}

template <class T>
Tensor random_numbers(Tensor t, Rng& rng) {
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.cols(); ++c) t.row<T>(r)[c] = static_cast<T>(static_cast<float>(rng.normal()));
  return t;
}

template <class T>
void check_shape(int64_t h, int64_t width, int64_t n, const Conv2dOptions& o, Rng& rng) {
  SCOPED_TRACE(fmt::format("x {}x{}x{}, {}", h, width, n, Conv2d(o).describe()));
  constexpr DType type = dtype_of<T>();
  const Tensor x = random_numbers<T>(Tensor::activation(h, width, n, o.in_channels, type), rng);
  const Shape weights{o.out_channels, o.in_channels, o.kernel_h, o.kernel_w};
  Tensor w = random_numbers<Weight<T>>(Tensor::zeros(weights, dtype_of<Weight<T>>()), rng);
  if (type == DType::BF16) w = w.to(DType::BF16).to(DType::F32);  // their rounding is not what is tested
  const Shape out = conv2d_output_shape(x.shape(), o);
  const Tensor dy = random_numbers<T>(Tensor::activation(out[0], out[1], out[2], out[3], type), rng);
  const Reference want = reference<T>(x, w, dy, o);
  expect_equal<T>("y", conv2d_forward(x, w, o), want.y);
  expect_equal<T>("dx", conv2d_backward_data(dy, w, x.shape(), o), want.dx);
  expect_equal<Weight<T>>("dw", conv2d_backward_weights(dy, x, o), want.dw);
}

TEST(Conv2d, RandomShapes) {
  Rng rng(1, Purpose::Test);
  for (int repeat = 0; repeat < 60; ++repeat) {
    const auto from = [&](int64_t lo, int64_t hi) {
      return lo + static_cast<int64_t>(rng.below(static_cast<uint64_t>(hi - lo + 1)));
    };
    Conv2dOptions o{.in_channels = from(1, 40),
                    .out_channels = from(1, 40),
                    .kernel_h = from(1, 4),
                    .kernel_w = from(1, 4),
                    .stride = from(1, 3),
                    .pad = from(0, 3)};
    const int64_t h = from(std::max<int64_t>(1, o.kernel_h - 2 * o.pad), 7),
                  w = from(std::max<int64_t>(1, o.kernel_w - 2 * o.pad), 7);
    check_shape<float>(h, w, from(1, 5), o, rng);
    check_shape<double>(h, w, from(1, 3), o, rng);
    check_shape<bf16>(h, w, from(1, 5), o, rng);
  }
}

template <class T>
class Conv2dOf : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Conv2dOf, Types);

TYPED_TEST(Conv2dOf, ShapesOfRealNetworks) {
  Rng rng(2, Purpose::Test);
  check_shape<TypeParam>(8, 8, 3, {3, 16, 3, 3, 1, 1}, rng);    // first layer
  check_shape<TypeParam>(14, 14, 2, {3, 64, 7, 7, 2, 3}, rng);  // ResNet stem
  check_shape<TypeParam>(8, 8, 2, {16, 32, 1, 1, 2, 0}, rng);   // strided shortcut, even size
  check_shape<TypeParam>(7, 7, 2, {16, 32, 3, 3, 2, 1}, rng);   // strided, odd size
  check_shape<TypeParam>(2, 2, 70, {64, 65, 3, 3, 1, 1}, rng);  // two blocks of images, three panels
  check_shape<TypeParam>(3, 3, 131, {33, 130, 1, 1, 1, 0}, rng);
  check_shape<TypeParam>(1, 9, 2, {5, 7, 1, 7, 1, 3}, rng);    // 1 x 7
  check_shape<TypeParam>(6, 6, 1, {40, 33, 3, 3, 1, 1}, rng);  // few images: runs of pixels
  check_shape<TypeParam>(9, 5, 7, {17, 16, 3, 3, 1, 1}, rng);
  check_shape<TypeParam>(1, 1, 1, {100, 50, 1, 1, 1, 0}, rng);
}

TYPED_TEST(Conv2dOf, DegenerateShapes) {
  Rng rng(3, Purpose::Test);
  check_shape<TypeParam>(1, 1, 2, {3, 4, 3, 3, 1, 1}, rng);  // one pixel, eight taps outside
  check_shape<TypeParam>(2, 2, 1, {3, 4, 1, 1, 5, 0}, rng);  // stride beyond the map: three pixels are never read
  check_shape<TypeParam>(1, 1, 1, {2, 2, 1, 1, 1, 2}, rng);  // most outputs see padding only
  check_shape<TypeParam>(3, 2, 0, {2, 2, 3, 3, 1, 1}, rng);  // no images
}

TYPED_TEST(Conv2dOf, SameBitsForAnyNumberOfThreads) {
  Rng rng(4, Purpose::Test);
  const Conv2dOptions o{24, 40, 3, 3, 1, 1};
  const Tensor x = random_numbers<TypeParam>(Tensor::activation(5, 6, 70, 24, dtype_of<TypeParam>()), rng);
  const Tensor w = random_numbers<float>(Tensor::zeros({40, 24, 3, 3}), rng);
  const Tensor dy = random_numbers<TypeParam>(Tensor::activation(5, 6, 70, 40, dtype_of<TypeParam>()), rng);
  const KeepThreads keep;
  std::vector<std::vector<float>> results[3];
  for (int run = 0; run < 3; ++run) {
    set_threads(run == 0 ? 1 : run == 1 ? 2 : 5);
    results[run] = {conv2d_forward(x, w, o).values(), conv2d_backward_data(dy, w, x.shape(), o).values(),
                    conv2d_backward_weights(dy, x, o).values()};
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Conv2d, EveryBrgemmVariant) {
  Rng rng(5, Purpose::Test);
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (!v.supported()) continue;
    SCOPED_TRACE(v.name);
    force_brgemm_variant(v.name);
    if (v.serves(DType::F32)) check_shape<float>(5, 4, 9, {20, 35, 3, 3, 2, 1}, rng);
    if (v.serves(DType::F32)) check_shape<double>(3, 4, 2, {5, 6, 3, 3, 1, 1}, rng);
    if (v.serves(DType::BF16)) check_shape<bf16>(5, 4, 9, {20, 35, 3, 3, 2, 1}, rng);
    if (v.serves(DType::BF16)) check_shape<bf16>(3, 5, 67, {64, 70, 3, 3, 1, 1}, rng);
  }
  force_brgemm_variant("auto");
}

TEST(Conv2d, SaysWhatDoesNotFit) {
  const Tensor x = Tensor::activation(4, 4, 1, 3);
  EXPECT_EQ(message_of([&] {
              conv2d_forward(x, Tensor::zeros({8, 4, 3, 3}), {3, 8, 3, 3, 1, 1});
            }),
            "[conv2d] w: wanted [8, 3, 3, 3] F32, got [8, 4, 3, 3] F32");
  EXPECT_EQ(message_of([&] {
              conv2d_forward(x, Tensor::zeros({8, 4, 3, 3}), {4, 8, 3, 3, 1, 1});
            }),
            "[conv2d] x: wanted [H, W, N, C] with C = 4, got [4, 4, 1, 3]");
  EXPECT_EQ(message_of([&] {
              conv2d_output_shape(x.shape(), {3, 8, 7, 7, 1, 1});
            }),
            "[conv2d] x: wanted at least 7 x 7 with pad 1, got [4, 4, 1, 3]");
  EXPECT_EQ(message_of([] {
              Conv2d({3, 8, 3, 3, 0, 1});
            }),
            "[conv2d] options: wanted channels, kernel and stride 1..65536, pad 0..65536, got 3x3 3->8 stride 0 pad 1");
  for (const Conv2dOptions& bad : std::vector<Conv2dOptions>{{0, 8, 3, 3, 1, 1},
                                                             {3, -1, 3, 3, 1, 1},
                                                             {3, 8, 0, 3, 1, 1},
                                                             {3, 8, 3, 65537, 1, 1},
                                                             {3, 8, 3, 3, 1, -1},
                                                             {3, 8, 3, 3, 1, INT64_MAX}}) {
    EXPECT_THROW(Conv2d{bad}, InputError);
  }
}

// The products read whole rows: of bf16 they read the padding too.
TEST(Conv2d, RefusesRowsWithoutPadding) {
  const Conv2dOptions o{20, 24, 3, 3, 1, 1};
  const Tensor x = Tensor::activation(4, 4, 2, 20, DType::BF16), w = Tensor::zeros({24, 20, 3, 3});
  const Tensor dy = Tensor::activation(4, 4, 2, 24, DType::BF16);
  const Tensor bare_x = Tensor::zeros(x.shape(), DType::BF16), bare_dy = Tensor::zeros(dy.shape(), DType::BF16);
  const std::string refused =
      "[conv2d] x: wanted rows of 20 numbers, padded to 32 (Tensor::activation()), got a pitch of 20";
  EXPECT_EQ(message_of([&] { conv2d_forward(bare_x, w, o); }), refused);
  EXPECT_EQ(message_of([&] { conv2d(Var(bare_x), Var(w, true), o); }), refused);
  EXPECT_EQ(message_of([&] { conv2d_backward_weights(dy, bare_x, o); }), refused);
  EXPECT_THAT(message_of([&] { conv2d_backward_weights(bare_dy, x, o); }),
              testing::StartsWith("[conv2d] dy: wanted rows"));
  EXPECT_THAT(message_of([&] { conv2d_backward_data(bare_dy, w, x.shape(), o); }),
              testing::StartsWith("[conv2d] dy: wanted rows"));
  std::vector<Var> parameters{Var(w, true)};
  for (const float v : {1.0f, 0.0f, 0.0f, 1.0f}) parameters.emplace_back(Tensor::from({24}, std::vector<float>(24, v)));
  for (const bool training : {true, false}) {
    EXPECT_EQ(message_of([&] {
                conv_norm(std::make_shared<Conv2d>(o), {}, Var(bare_x), {}, parameters, true, {.training = training});
              }),
              refused);
  }
}

TEST(Conv2d, DescribesItself) {
  const Conv2d op({16, 32, 3, 3, 2, 1});
  EXPECT_EQ(op.kind(), "conv2d");
  EXPECT_EQ(op.describe(), "3x3 16->32 stride 2 pad 1");
  ASSERT_EQ(op.parameters().size(), 1u);
  EXPECT_EQ(op.parameters()[0].name, "weight");
  EXPECT_EQ(op.parameters()[0].shape, (Shape{32, 16, 3, 3}));
  const Shape x{32, 32, 1, 16};
  EXPECT_EQ(op.output_shape({&x, 1}), (Shape{16, 16, 1, 32}));
}

}  // namespace
}  // namespace kronbit::nn
