// Normalization, pooling, linear layer, loss, update and cropping on a device against nn/ops and data/. What the header
// says is calculated in the same order must have the same bits; elsewhere the tolerance stands with the test.
#include <cstring>

#include "data/dataset.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/global_avg_pool.h"
#include "nn/ops/linear.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/relu.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optim.h"
#include "tensor/rows/rows.h"
#include "tests/nn/device_tests.h"

namespace kronbit::nn {
namespace {

Tensor per_channel(int64_t channels, double centre, double spread, Rng& rng) {
  Tensor t = Tensor::zeros({channels});
  for (int64_t c = 0; c < channels; ++c) t.data<float>()[c] = static_cast<float>(centre + spread * rng.normal());
  return t;
}

/// A normalization's tensors on a device.
struct DeviceNorm {
  Guarded<float> weight, bias, mean, var, coefficients;
  NormLayer layer;
  DeviceNorm(Device& device, const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& m, const Tensor& v)
      : weight(to_device<float>(device, w)),
        bias(to_device<float>(device, b)),
        mean(to_device<float>(device, m)),
        var(to_device<float>(device, v)),
        coefficients(device, 4 * x.pitch()) {
    layer = {.rows = x.rows(),
             .channels = static_cast<int>(x.channels()),
             .weight = weight.data(),
             .bias = bias.data(),
             .running_mean = mean.data(),
             .running_var = var.data(),
             .coefficients = coefficients.data()};
  }
};

struct NormCase {
  Tensor x, residual, dz, weight, bias, mean, var;
  NormCase(int64_t h, int64_t w, int64_t n, int64_t c, Rng& rng)
      : x(random_activation(h, w, n, c, rng)),
        residual(random_activation(h, w, n, c, rng)),
        dz(random_activation(h, w, n, c, rng)),
        weight(per_channel(c, 1, 0.3, rng)),
        bias(per_channel(c, 0, 0.5, rng)),
        mean(per_channel(c, 0, 0.2, rng)),
        var(per_channel(c, 2, 0.1, rng)) {}
};

// Means, variances and coefficients: sums of M terms of about unit size in float, parts in double: 2^-16 is generous.
// z and dy are then at most one bf16 step away, 2^-7, and near zero by 2^-12 of the terms they are made of.
void check_norm_training(const Bench& at, const NormCase& c) {
  const DeviceOps& ops = device_ops(at.device);
  DeviceNorm norm(at.device, c.x, c.weight, c.bias, c.mean, c.var);
  Guarded<bf16> x = to_device<bf16>(at.device, c.x), residual = to_device<bf16>(at.device, c.residual);
  Guarded<bf16> z(at.device, c.x.stored());
  const int parts = sum_parts(c.x.rows());
  Guarded<float> sums(at.device, static_cast<int64_t>(parts) * 2 * c.x.pitch());
  ops.norm_sums(norm.layer, x.data(), norm.mean.data(), sums.data(), at.queue);
  ops.norm_finish(norm.layer, sums.data(), parts, norm.mean.data(), at.queue);
  ops.normalize(norm.layer, x.data(), residual.data(), true, z.data(), at.queue);
  sums.values();

  const ChannelMoments moments = channel_moments(c.x);
  Tensor mean = c.mean.clone(), var = c.var.clone();
  update_running_statistics(mean, var, moments, c.x.rows(), 0.1);
  const Tensor one = Tensor::from({1}, {1.0f});
  expect_near(to_host(norm.mean, mean), mean, 0x1p-16, mean, 0, 0x1p-16);
  expect_near(to_host(norm.var, var), var, 0x1p-16, var, 0, 0x1p-16);
  const NormCoefficients with = norm_coefficients(moments, c.weight, c.bias, 1e-5);
  const Tensor want = normalize(c.x, with, &c.residual, true);
  expect_near(to_host(z, want), want, 0x1p-7, want, 0, 0x1p-10);

  // Backward, from the processor's z so that the masks agree.
  Guarded<bf16> dz = to_device<bf16>(at.device, c.dz), mask = to_device<bf16>(at.device, want);
  Guarded<bf16> dy(at.device, c.x.stored()), dresidual(at.device, c.x.stored());
  Guarded<float> backward(at.device, 3 * c.x.pitch()), dweight(at.device, c.x.channels()),
      dbias(at.device, c.x.channels());
  for (const bool relu : {true, false}) {
    const NormGradients grads =
        normalize_backward(c.dz, c.x, relu ? &want : nullptr, c.weight, moments, 1e-5, true, true);
    ops.normalize_backward(norm.layer, dz.data(), relu ? mask.data() : nullptr, x.data(), sums.data(), backward.data(),
                           dy.data(), dresidual.data(), dweight.data(), dbias.data(), at.queue);
    expect_near(to_host(dy, grads.dy), grads.dy, 0x1p-7, grads.dy, 0, 0x1p-10);
    expect_same_bits<bf16>(to_host(dresidual, grads.residual), grads.residual);
    const double rows = static_cast<double>(c.x.rows());
    expect_near(to_host(dweight, grads.dweight), grads.dweight, 0x1p-14, grads.dweight, 0, rows * 0x1p-16);
    expect_near(to_host(dbias, grads.dbias), grads.dbias, 0x1p-14, grads.dbias, 0, rows * 0x1p-16);
    // In place.
    Guarded<bf16> both = to_device<bf16>(at.device, c.dz);
    ops.normalize_backward(norm.layer, both.data(), relu ? mask.data() : nullptr, x.data(), sums.data(),
                           backward.data(), both.data(), nullptr, dweight.data(), dbias.data(), at.queue);
    expect_same_bits<bf16>(to_host(both, grads.dy), to_host(dy, grads.dy));
  }
}

/// With running statistics everything is calculated as on the processor.
void check_norm_fixed(const Bench& at, const NormCase& c) {
  const DeviceOps& ops = device_ops(at.device);
  DeviceNorm norm(at.device, c.x, c.weight, c.bias, c.mean, c.var);
  ops.norm_fixed(norm.layer, at.queue);
  const NormCoefficients with = norm_coefficients(running_moments(c.mean, c.var), c.weight, c.bias, 1e-5);
  for (const bool relu : {false, true}) {
    for (const bool add : {false, true}) {
      Guarded<bf16> z = to_device<bf16>(at.device, c.x), residual = to_device<bf16>(at.device, c.residual);
      ops.normalize(norm.layer, z.data(), add ? residual.data() : nullptr, relu, z.data(), at.queue);
      const Tensor want = normalize(c.x, with, add ? &c.residual : nullptr, relu);
      expect_same_bits<bf16>(to_host(z, want), want);
    }
  }
}

TEST(DeviceOps, BatchNorm) {
  Rng rng(11, Purpose::Test);
  for (const auto& [h, w, n, c] :
       {std::array{4, 5, 7, 16}, {3, 3, 1, 3}, {9, 8, 5, 100}, {2, 1, 3, 1300}, {1, 1, 2, 33}}) {
    SCOPED_TRACE(fmt::format("{}x{}, {} images, {} channels", h, w, n, c));
    const NormCase norm(h, w, n, c, rng);
    on_devices([&](const Bench& at) {
      check_norm_training(at, norm);
      check_norm_fixed(at, norm);
    });
  }
}

TEST(DeviceOps, SumsOfManyRows) {  // more parts than the groups that add them up
  Rng rng(12, Purpose::Test);
  const NormCase norm(40, 30, 3, 5, rng);
  on_devices([&](const Bench& at) { check_norm_training(at, norm); });
}

TEST(DeviceOps, AddAndRelu) {
  Rng rng(13, Purpose::Test);
  for (const int64_t channels : {1, 20, 64}) {
    const Tensor a = random_activation(3, 2, 5, channels, rng), b = random_activation(3, 2, 5, channels, rng);
    on_devices([&](const Bench& at) {
      const DeviceOps& ops = device_ops(at.device);
      Guarded<bf16> x = to_device<bf16>(at.device, a), y = to_device<bf16>(at.device, b), z(at.device, a.stored());
      ops.add(a.stored(), x.data(), y.data(), z.data(), at.queue);
      expect_same_bits<bf16>(to_host(z, a), add_forward(a, b));
      ops.relu(a.stored(), x.data(), z.data(), at.queue);
      expect_same_bits<bf16>(to_host(z, a), relu_forward(a));
      ops.relu_backward(a.stored(), y.data(), z.data(), y.data(), at.queue);
      expect_same_bits<bf16>(to_host(y, a), relu_backward(b, relu_forward(a)));
    });
  }
}

TEST(DeviceOps, ReluPassesNan) {
  Rng rng(14, Purpose::Test);
  const NormCase c(2, 2, 3, 20, rng);
  Tensor x = c.x.clone();
  x.row<bf16>(5)[7] = bf16(NAN);
  on_devices([&](const Bench& at) {
    const DeviceOps& ops = device_ops(at.device);
    Guarded<bf16> in = to_device<bf16>(at.device, x), y(at.device, x.stored()), z(at.device, x.stored());
    ops.relu(x.stored(), in.data(), y.data(), at.queue);
    const DeviceNorm norm(at.device, c.x, c.weight, c.bias, c.mean, c.var);
    ops.norm_fixed(norm.layer, at.queue);
    ops.normalize(norm.layer, in.data(), nullptr, true, z.data(), at.queue);
    for (const std::vector<bf16>& got : {y.values(), z.values()})
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(std::isnan(static_cast<float>(got[i])), i == static_cast<size_t>(5 * x.pitch() + 7)) << i;
  });
}

PoolGeometry geometry_of(const Tensor& x, const Shape& out, const PoolOptions& o) {
  return {static_cast<int>(x.height()), static_cast<int>(x.width()),
          static_cast<int>(x.images()), static_cast<int>(x.channels()),
          static_cast<int>(out[0]),     static_cast<int>(out[1]),
          static_cast<int>(o.kernel),   static_cast<int>(o.stride),
          static_cast<int>(o.pad),      o.count_include_pad};
}

TEST(DeviceOps, Pools) {
  Rng rng(14, Purpose::Test);
  for (const PoolOptions& o :
       {PoolOptions{2, 2, 0, false, true}, PoolOptions{3, 2, 1, false, true}, PoolOptions{3, 1, 1, false, false},
        PoolOptions{3, 2, 0, true, true}, PoolOptions{3, 2, 1, true, true}, PoolOptions{2, 3, 0, false, true}}) {
    SCOPED_TRACE(describe_pool(o));
    Tensor x = random_activation(7, 6, 3, 20, rng);
    for (int64_t i = 0; i < x.rows(); ++i) {  // equal maxima, and a NaN
      x.row<bf16>(i)[3] = bf16(static_cast<float>(rng.below(3)));
      x.row<bf16>(i)[4] = bf16(rng.below(8) == 0 ? NAN : 1.0f);
    }
    const Tensor most = max_pool_forward(x, o);
    Tensor clean = x.clone();
    for (int64_t i = 0; i < x.rows(); ++i) clean.row<bf16>(i)[4] = bf16(1.0f);
    const Tensor average = avg_pool_forward(clean, o);
    const Tensor dy = random_activation(most.height(), most.width(), 3, 20, rng);
    const Tensor dmost = max_pool_backward(dy, x, o), daverage = avg_pool_backward(dy, x.shape(), o);
    const PoolGeometry g = geometry_of(x, most.shape(), o);
    on_devices([&](const Bench& at) {
      const DeviceOps& ops = device_ops(at.device);
      Guarded<bf16> in = to_device<bf16>(at.device, x), out(at.device, most.stored());
      Guarded<bf16> gradient = to_device<bf16>(at.device, dy), back(at.device, x.stored());
      Guarded<uint8_t> index(at.device, most.stored());
      ops.max_pool(g, in.data(), out.data(), index.data(), at.queue);
      ops.max_pool_backward(g, gradient.data(), index.data(), back.data(), at.queue);
      const Tensor got = to_host(out, most), got_back = to_host(back, x);
      for (int64_t i = 0; i < most.stored(); ++i) {
        const auto a = static_cast<float>(got.data<bf16>()[i]), b = static_cast<float>(most.data<bf16>()[i]);
        ASSERT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << i << ": " << a << " " << b;
      }
      expect_near(got_back, dmost, 0, dmost, 0);
      index.values();
      Guarded<bf16> again(at.device, most.stored());
      ops.max_pool(g, in.data(), again.data(), nullptr, at.queue);
      expect_same_bits<bf16>(to_host(again, most), got);

      Guarded<bf16> numbers = to_device<bf16>(at.device, clean);
      ops.avg_pool(g, numbers.data(), out.data(), at.queue);
      ops.avg_pool_backward(g, gradient.data(), back.data(), at.queue);
      expect_same_bits<bf16>(to_host(out, average), average);
      expect_same_bits<bf16>(to_host(back, daverage), daverage);
    });
  }
}

TEST(DeviceOps, GlobalAveragePool) {
  Rng rng(15, Purpose::Test);
  for (const int64_t channels : {5, 48}) {
    const Tensor x = random_activation(5, 7, 6, channels, rng), dy = random_activation(1, 1, 6, channels, rng);
    const Tensor y = global_avg_pool_forward(x), dx = global_avg_pool_backward(dy, x.shape());
    const PoolGeometry g = geometry_of(x, y.shape(), {});
    on_devices([&](const Bench& at) {
      const DeviceOps& ops = device_ops(at.device);
      Guarded<bf16> in = to_device<bf16>(at.device, x), out(at.device, y.stored());
      Guarded<bf16> gradient = to_device<bf16>(at.device, dy), back(at.device, x.stored());
      ops.global_avg_pool(g, in.data(), out.data(), at.queue);
      ops.global_avg_pool_backward(g, gradient.data(), back.data(), at.queue);
      expect_same_bits<bf16>(to_host(out, y), y);
      expect_same_bits<bf16>(to_host(back, dx), dx);
    });
  }
}

// Sums of K products of about unit size in float: K 2^-20 is generous; dx is rounded to bf16.
TEST(DeviceOps, LinearLayer) {
  Rng rng(16, Purpose::Test);
  for (const auto& [n, c, o] : {std::array{1, 1, 1}, {5, 64, 10}, {70, 20, 33}, {3, 100, 130}, {130, 17, 3}}) {
    SCOPED_TRACE(fmt::format("{} images, {} -> {}", n, c, o));
    const Tensor x = random_activation(1, 1, n, c, rng), w = random_tensor({o, c}, rng), b = random_tensor({o}, rng);
    Tensor dy = Tensor::activation(1, 1, n, o);
    for (int64_t r = 0; r < n; ++r)
      for (int64_t k = 0; k < o; ++k) dy.row<float>(r)[k] = static_cast<float>(rng.normal());
    const Tensor y = linear_forward(x, w, b);
    const LinearGradients want = linear_backward(dy, x, w);
    const LinearGeometry g{n, c, o};
    on_devices([&](const Bench& at) {
      const DeviceOps& ops = device_ops(at.device);
      Guarded<bf16> in = to_device<bf16>(at.device, x), dx(at.device, x.stored());
      Guarded<float> weight = to_device<float>(at.device, w), bias = to_device<float>(at.device, b);
      Guarded<float> out(at.device, y.stored()), gradient = to_device<float>(at.device, dy);
      Guarded<float> dw(at.device, w.stored()), db(at.device, b.stored());
      ops.linear(g, in.data(), weight.data(), bias.data(), out.data(), at.queue);
      ops.linear_backward(g, gradient.data(), in.data(), weight.data(), dx.data(), dw.data(), db.data(), at.queue);
      const Tensor got = to_host(out, y);
      expect_near(got, y, 0, y, 0, c * 0x1p-20);
      for (int64_t r = 0; r < n; ++r)
        for (int64_t k = o; k < got.pitch(); ++k) ASSERT_EQ(got.row<float>(r)[k], 0);
      expect_near(to_host(dx, want.dx), want.dx, 0x1p-7, want.dx, 0, o * 0x1p-20);
      expect_near(to_host(dw, want.dw), want.dw, 0, want.dw, 0, n * 0x1p-20);
      expect_near(to_host(db, want.db), want.db, 0, want.db, 0, n * 0x1p-20);
    });
  }
}

// In double on both sides: only the last rounding to float may differ.
TEST(DeviceOps, CrossEntropy) {
  Rng rng(17, Purpose::Test);
  for (const auto& [n, classes] : {std::array{1, 2}, {9, 10}, {40, 100}, {300, 3}}) {
    for (const double smoothing : {0.0, 0.1}) {
      SCOPED_TRACE(fmt::format("{} images, {} classes, smoothing {}", n, classes, smoothing));
      Tensor logits = Tensor::activation(1, 1, n, classes);
      std::vector<int> labels;
      for (int64_t r = 0; r < n; ++r) {
        labels.push_back(static_cast<int>(rng.below(static_cast<uint64_t>(classes))));
        for (int64_t k = 0; k < classes; ++k)
          logits.row<float>(r)[k] = std::round(4 * static_cast<float>(rng.normal())) / 2;
      }
      logits.row<float>(0)[1] = 1e30f;
      const double loss = static_cast<double>(
          softmax_cross_entropy_forward(logits.to(DType::F64), labels, smoothing).data<double>()[0]);
      const Tensor want = softmax_cross_entropy_backward(1, logits, labels, smoothing);
      on_devices([&](const Bench& at) {
        const DeviceOps& ops = device_ops(at.device);
        Guarded<float> in = to_device<float>(at.device, logits), gradient(at.device, logits.stored());
        Guarded<int> device_labels(at.device, labels);
        Guarded<std::byte> workspace(at.device, n * 12);
        Guarded<LossTally> tally(at.device, std::vector<LossTally>{{.loss = 2, .top1 = 3, .top5 = 4, .images = 5}});
        ops.cross_entropy(n, classes, in.data(), device_labels.data(), smoothing, gradient.data(), workspace.data(),
                          tally.data(), at.queue);
        ops.cross_entropy(n, classes, in.data(), device_labels.data(), smoothing, nullptr, workspace.data(),
                          tally.data(), at.queue);
        expect_near(to_host(gradient, want), want, 0x1p-22, want, 0, 1e-15);
        const LossTally got = tally.values()[0];
        EXPECT_NEAR(got.loss, 2 + 2 * n * loss, 1e-12 * std::fabs(n * loss));
        EXPECT_EQ(got.top1, 3 + 2 * count_correct(logits, labels, 1));
        EXPECT_EQ(got.top5, 4 + 2 * count_correct(logits, labels, 5));
        EXPECT_EQ(got.images, 5 + 2 * n);
        workspace.values();
      });
    }
  }
}

TEST(DeviceOps, CrossEntropyOfNaN) {
  Tensor logits = Tensor::activation(1, 1, 2, 3);
  logits.row<float>(0)[1] = NAN;
  logits.row<float>(1)[2] = 7;
  on_devices([&](const Bench& at) {
    Guarded<float> in = to_device<float>(at.device, logits);
    Guarded<int> labels(at.device, std::vector<int>{1, 2});
    Guarded<std::byte> workspace(at.device, 24);
    Guarded<LossTally> tally(at.device, std::vector<LossTally>(1));
    device_ops(at.device).cross_entropy(2, 3, in.data(), labels.data(), 0, nullptr, workspace.data(), tally.data(),
                                        at.queue);
    const LossTally got = tally.values()[0];
    EXPECT_TRUE(std::isnan(got.loss));
    EXPECT_EQ(got.top1, count_correct(logits, {1, 2}, 1));
    EXPECT_EQ(got.top5, count_correct(logits, {1, 2}, 5));
  });
}

TEST(DeviceOps, SgdHasTheBitsOfTheProcessor) {
  Rng rng(18, Purpose::Test);
  const std::vector<int64_t> counts = {1, 300, 64, 1000, 0};
  std::vector<Tensor> start, gradients;
  for (const int64_t count : counts) {
    start.push_back(random_tensor({count}, rng));
    gradients.push_back(random_tensor({count}, rng));
  }
  for (const bool nesterov : {false, true}) {
    const SgdNumbers numbers{0.1f, 0.9f, 5e-4f, nesterov};
    on_devices([&](const Bench& at) {
      std::vector<Guarded<float>> p, g, v;
      std::vector<SgdParameter> list;
      for (size_t i = 0; i < counts.size(); ++i) {
        p.push_back(to_device<float>(at.device, start[i]));
        g.push_back(to_device<float>(at.device, gradients[i]));
        v.push_back(to_device<float>(at.device, start[i]));  // some velocity
      }
      for (size_t i = 0; i < counts.size(); ++i)
        list.push_back({p[i].data(), i == 2 ? nullptr : g[i].data(), i == 3 ? nullptr : v[i].data(), counts[i]});
      Guarded<SgdParameter> device_list(at.device, list);
      Guarded<SgdNumbers> device_numbers(at.device, std::vector<SgdNumbers>{numbers});
      device_ops(at.device).sgd(device_list.data(), static_cast<int>(counts.size()), 1000, device_numbers.data(),
                                at.queue);
      for (size_t i = 0; i < counts.size(); ++i) {
        Tensor want = start[i].clone(), velocity = start[i].clone();
        if (i != 2)
          float_kernels().sgd(counts[i], {numbers.lr, numbers.momentum, numbers.decay, nesterov},
                              gradients[i].data<float>(), want.data<float>(),
                              i == 3 ? nullptr : velocity.data<float>());
        expect_same_bits<float>(to_host(p[i], want), want);
        expect_same_bits<float>(to_host(v[i], want), velocity);
      }
    });
  }
}

TEST(DeviceOps, GradientsAreLimitedAndWatched) {
  Rng rng(20, Purpose::Test);
  const Tensor p = random_tensor({700}, rng), other = random_tensor({3}, rng), start = random_tensor({700}, rng);
  double want = 0;
  for (const Tensor* t : {&p, &other})
    for (const float g : t->values()) want += static_cast<double>(g) * static_cast<double>(g);
  for (const double max_norm : {0.0, 1.5, 1e6}) {
    for (const bool finite : {true, false}) {
      on_devices([&](const Bench& at) {
        const DeviceOps& ops = device_ops(at.device);
        Guarded<float> first = to_device<float>(at.device, p), parameter = to_device<float>(at.device, start);
        Tensor last = other.clone();
        if (!finite) last.data<float>()[2] = INFINITY;
        Guarded<float> second = to_device<float>(at.device, last), unused = to_device<float>(at.device, other);
        Guarded<SgdParameter> list(at.device, std::vector<SgdParameter>{{parameter.data(), first.data(), nullptr, 700},
                                                                        {unused.data(), second.data(), nullptr, 3},
                                                                        {unused.data(), nullptr, nullptr, 3}});
        Guarded<double> workspace(at.device, gradient_squares_workspace(3)), squares(at.device, 1);
        Guarded<SgdNumbers> numbers(
            at.device, std::vector<SgdNumbers>{{.lr = 0.5f, .squares = squares.data(), .max_norm = max_norm}});
        ops.gradient_squares(list.data(), 3, workspace.data(), squares.data(), at.queue);
        ops.sgd(list.data(), 3, 700, numbers.data(), at.queue);
        const double found = squares.values()[0];
        workspace.values();
        Tensor updated = start.clone();
        if (finite) {
          EXPECT_NEAR(found, want, 1e-13 * want);
          const auto factor = static_cast<float>(max_norm / (std::sqrt(found) + 1e-6));
          for (int64_t i = 0; i < 700; ++i)
            updated.data<float>()[i] -= 0.5f * (max_norm == 1.5 ? p.data<float>()[i] * factor : p.data<float>()[i]);
        } else {
          EXPECT_TRUE(std::isinf(found));
        }
        expect_same_bits<float>(to_host(parameter, updated), updated);
      });
    }
  }
}

TEST(DeviceOps, CropsAsTheDataSetDoes) {
  Rng rng(19, Purpose::Test);
  data::MemorySource source;
  source.height = 6;
  source.width = 7;
  source.pixels.resize(5 * 6 * 7 * 3);
  for (uint8_t& pixel : source.pixels) pixel = static_cast<uint8_t>(rng.below(256));
  std::vector<float> values(3 * 256);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 100 - 2;

  constexpr int kImages = 9;
  std::vector<CropChoice> choices;
  Tensor want = Tensor::activation(6, 7, kImages, 3, DType::BF16);
  std::vector<uint8_t> picture(6 * 7 * 3);
  for (int n = 0; n < kImages; ++n) {
    Rng draws(static_cast<uint64_t>(n), Purpose::Test), same(static_cast<uint64_t>(n), Purpose::Test);
    source.read_augmented(n % 5, draws, picture.data());
    CropChoice choice{.image = n % 5};
    choice.dy = static_cast<int>(same.below(9)) - 4;
    choice.dx = static_cast<int>(same.below(9)) - 4;
    choice.flip = same.below(2) == 1;
    choices.push_back(choice);
    for (int64_t p = 0; p < 6 * 7; ++p)
      for (int64_t c = 0; c < 3; ++c)
        want.row<bf16>(p * kImages + n)[c] =
            bf16(values[static_cast<size_t>(c * 256 + picture[static_cast<size_t>(p * 3 + c)])]);
  }
  on_devices([&](const Bench& at) {
    Guarded<uint8_t> pixels(at.device, source.pixels);
    Guarded<float> table(at.device, values);
    Guarded<CropChoice> list(at.device, choices);
    Guarded<bf16> x(at.device, want.stored());
    device_ops(at.device).crop_images({pixels.data(), table.data(), 6, 7}, list.data(), kImages, x.data(), at.queue);
    expect_same_bits<bf16>(to_host(x, want), want);
  });
}

}  // namespace
}  // namespace kronbit::nn
