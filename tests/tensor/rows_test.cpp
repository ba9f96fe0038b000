// Every variant of the row loops against the formulas in double, for float and bf16, all small sizes, rows with and
// without gaps; and every variant against the plain one, bit by bit.
#include "tensor/rows/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tensor/rng.h"

namespace kronbit {
namespace {

template <class T>
double number(T v) {
  return static_cast<double>(v);
}

/// Rounds as the kernels must.
template <class T>
T rounded(double v) {
  return static_cast<T>(static_cast<float>(v));
}

/// Normal numbers of T with some zeros, after which nothing may be written: the last 16 are sentinels.
template <class T>
class Numbers {
 public:
  Numbers(int64_t count, Rng& rng) : count_(count) {
    for (int64_t i = 0; i < count + kSentinels; ++i)
      values_.push_back(rounded<T>(i < count && rng.uniform() < 0.2 ? 0.0 : rng.normal()));
    sentinels_.assign(values_.end() - kSentinels, values_.end());
  }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }
  T operator[](int64_t i) const { return values_[static_cast<size_t>(i)]; }
  void expect_sentinels(const std::string& what) const {
    ASSERT_EQ(std::memcmp(values_.data() + count_, sentinels_.data(), kSentinels * sizeof(T)), 0) << what;
  }

 private:
  static constexpr int64_t kSentinels = 16;
  int64_t count_;
  std::vector<T> values_, sentinels_;
};

template <class T>
const RowKernels<T>& kernels_of(const RowVariant& v) {
  if constexpr (std::is_same_v<T, float>) {
    return *v.f32;
  } else {
    return *v.b16;
  }
}

struct Case {
  int64_t rows, lanes, gap;
  RowRange range() const { return {rows, lanes, lanes + gap}; }
  int64_t size() const { return rows * (lanes + gap); }
  std::string text() const { return fmt::format("{} rows of {} lanes, gap {}", rows, lanes, gap); }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (int64_t lanes : {0, 16, 32, 48, 64, 80, 128, 256, 512, 544}) {
    for (int64_t rows : {0, 1, 2, 3, 4, 5, 7, 8, 17, 64, 69}) {
      all.push_back({rows, lanes, 0});
      if (rows < 60) all.push_back({rows, lanes, 16});
    }
  }
  all.push_back({2500, 16, 0});
  return all;
}

class RowVariants : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const RowVariant& v : row_variants())
      if (v.name == GetParam()) variant_ = &v;
    if (!variant_->supported())
      GTEST_SKIP() << "variant " << variant_->name << " needs " << variant_->needs << ", which this machine lacks";
  }
  const RowVariant* variant_ = nullptr;
};

/// Units of rounding of T at |v|.
template <class T>
double tolerance(double size) {
  return size * (std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-21) + 1e-30;
}

template <class T>
void check_moments(const RowKernels<T>& k, const Case& test, Rng& rng) {
  const Numbers<T> x(test.size(), rng), dz(test.size(), rng), mask(test.size(), rng);
  const Numbers<float> centre(test.lanes, rng);
  const auto lanes = static_cast<size_t>(test.lanes);
  for (int what = 0; what < 3; ++what) {  // moments, gradient moments without and with a mask
    std::vector<double> first(lanes, 1.0), second(lanes, 2.0);
    if (what == 0) {
      k.add_moments(test.range(), x.data(), centre.data(), first.data(), second.data());
    } else {
      k.add_gradient_moments(test.range(), dz.data(), what == 2 ? mask.data() : nullptr, x.data(), centre.data(),
                             first.data(), second.data());
    }
    for (int64_t c = 0; c < test.lanes; ++c) {
      double s1 = 1, s2 = 2, size1 = 1, size2 = 2;
      for (int64_t r = 0; r < test.rows; ++r) {
        const int64_t i = r * (test.lanes + test.gap) + c;
        const double d = number(x[i]) - number(centre[c]);
        const double g = what == 0 ? d : what == 2 && !(number(mask[i]) > 0) ? 0 : number(dz[i]);
        s1 += g;
        s2 += g * d;
        size1 += std::abs(g);
        size2 += std::abs(g * d);
      }
      ASSERT_NEAR(first[static_cast<size_t>(c)], s1, size1 * 0x1p-18) << test.text() << " lane " << c << " " << what;
      ASSERT_NEAR(second[static_cast<size_t>(c)], s2, size2 * 0x1p-18) << test.text() << " lane " << c << " " << what;
    }
  }
}

template <class T>
void check_normalize(const RowKernels<T>& k, const Case& test, Rng& rng) {
  const Numbers<T> y(test.size(), rng), residual(test.size(), rng);
  const Numbers<float> mean(test.lanes, rng), scale(test.lanes, rng), shift(test.lanes, rng);
  for (bool side : {false, true}) {
    for (bool relu : {false, true}) {
      Numbers<T> z(test.size(), rng), in_place = y;
      const Numbers<T> before = z;
      const NormalizeCoefficients<float> with{mean.data(), scale.data(), shift.data()};
      k.normalize(test.range(), y.data(), with, side ? residual.data() : nullptr, relu, z.data());
      k.normalize(test.range(), in_place.data(), with, side ? residual.data() : nullptr, relu, in_place.data());
      for (int64_t i = 0; i < test.size(); ++i) {
        const int64_t c = i % (test.lanes + test.gap);
        if (c >= test.lanes) {
          ASSERT_EQ(number(z[i]), number(before[i])) << test.text();
          continue;
        }
        const double product = (number(y[i]) - number(mean[c])) * number(scale[c]);
        double want = product + number(shift[c]) + (side ? number(residual[i]) : 0);
        const double size = std::abs(product) + std::abs(number(shift[c])) + std::abs(number(residual[i]));
        if (relu) want = std::max(want, 0.0);
        ASSERT_NEAR(number(z[i]), want, tolerance<T>(size)) << test.text() << " number " << i;
        ASSERT_EQ(number(in_place[i]), number(z[i])) << test.text() << " number " << i;
      }
      z.expect_sentinels(test.text());
    }
  }
}

template <class T>
void check_backward(const RowKernels<T>& k, const Case& test, Rng& rng) {
  const Numbers<T> y(test.size(), rng), dz(test.size(), rng), mask(test.size(), rng);
  const Numbers<float> mean(test.lanes, rng), a(test.lanes, rng), b(test.lanes, rng), d(test.lanes, rng);
  const NormalizeBackwardCoefficients<float> with{mean.data(), a.data(), b.data(), d.data()};
  for (bool masked : {false, true}) {
    const T* m = masked ? mask.data() : nullptr;
    Numbers<T> dy(test.size(), rng), residual = dy, alone = dy, in_place = dz, residual_in_place = dz;
    k.normalize_backward(test.range(), dz.data(), m, y.data(), with, dy.data(), residual.data());
    k.normalize_backward(test.range(), in_place.data(), m, y.data(), with, in_place.data(), nullptr);
    k.normalize_backward(test.range(), residual_in_place.data(), m, y.data(), with, alone.data(),
                         residual_in_place.data());
    for (int64_t i = 0; i < test.size(); ++i) {
      const int64_t c = i % (test.lanes + test.gap);
      if (c >= test.lanes) continue;
      const double g = masked && !(number(mask[i]) > 0) ? 0 : number(dz[i]);
      const double v = number(y[i]) - number(mean[c]), want = number(a[c]) * g + number(b[c]) * v + number(d[c]);
      const double size = std::abs(number(a[c]) * g) + std::abs(number(b[c]) * v) + std::abs(number(d[c]));
      ASSERT_NEAR(number(dy[i]), want, tolerance<T>(size)) << test.text() << " number " << i;
      ASSERT_EQ(number(residual[i]), g) << test.text() << " number " << i;
      ASSERT_EQ(number(in_place[i]), number(dy[i])) << test.text() << " number " << i;
      ASSERT_EQ(number(alone[i]), number(dy[i])) << test.text() << " number " << i;
      ASSERT_EQ(number(residual_in_place[i]), g) << test.text() << " number " << i;
    }
    dy.expect_sentinels(test.text());
    residual.expect_sentinels(test.text());
  }
}

template <class T>
void check_elements(const RowKernels<T>& k, int64_t n, Rng& rng) {
  const Numbers<T> a(n, rng), b(n, rng);
  const Numbers<float> start(n, rng);
  Numbers<T> sum(n, rng), relu = sum, back = sum, stored = sum;
  Numbers<float> scaled = start;
  k.add(n, a.data(), b.data(), sum.data());
  k.relu(n, a.data(), relu.data());
  k.relu_backward(n, a.data(), b.data(), back.data());
  k.add_scaled(n, 0.7f, a.data(), scaled.data());
  k.store_scaled(n, 0.7f, start.data(), stored.data());
  for (int64_t i = 0; i < n; ++i) {
    const float x = static_cast<float>(a[i]), y = static_cast<float>(b[i]);
    ASSERT_EQ(number(sum[i]), number(static_cast<T>(x + y))) << n;
    ASSERT_EQ(number(relu[i]), x > 0 ? number(a[i]) : 0) << n;
    ASSERT_EQ(number(back[i]), y > 0 ? number(a[i]) : 0) << n;
    ASSERT_NEAR(scaled[i], start[i] + 0.7f * x, 1e-6) << n;
    ASSERT_EQ(number(stored[i]), number(static_cast<T>(0.7f * start[i]))) << n;
  }
  for (const Numbers<T>* out : {&sum, &relu, &back, &stored}) out->expect_sentinels(std::to_string(n));
  scaled.expect_sentinels(std::to_string(n));
}

template <class T>
void check_windows(const RowKernels<T>& k, int64_t n, int64_t count, Rng& rng) {
  std::vector<Numbers<T>> in;
  std::vector<const T*> runs;
  for (int64_t w = 0; w < count; ++w) in.emplace_back(n, rng);
  for (int64_t i = 0; i < n; ++i)
    if (i % 5 == 4) in[static_cast<size_t>(i % count)].data()[i] = rounded<T>(NAN);
  for (const Numbers<T>& x : in) runs.push_back(x.data());
  const Numbers<T> dy(n, rng);
  Numbers<T> y(n, rng), dx(n, rng);
  Numbers<float> sum(n, rng);
  const Numbers<float> start = sum;
  std::vector<uint16_t> index(static_cast<size_t>(n));
  k.max(n, runs.data(), count, y.data());
  k.argmax(n, runs.data(), count, index.data());
  const auto chosen = static_cast<uint16_t>(count / 2);
  k.select(n, dy.data(), index.data(), chosen, dx.data());
  k.add_selected(n, dy.data(), index.data(), chosen, sum.data());
  for (int64_t i = 0; i < n; ++i) {
    int64_t best = 0;
    bool nan = false;
    for (int64_t w = 0; w < count; ++w) {
      nan = nan || std::isnan(number(in[static_cast<size_t>(w)][i]));
      if (number(in[static_cast<size_t>(w)][i]) > number(in[static_cast<size_t>(best)][i])) best = w;
    }
    const uint16_t at = nan ? kNoIndex : static_cast<uint16_t>(best);
    ASSERT_EQ(index[static_cast<size_t>(i)], at) << n << " of " << count;
    ASSERT_TRUE(nan ? std::isnan(number(y[i])) : number(y[i]) == number(in[static_cast<size_t>(best)][i])) << n;
    const double share = at == chosen ? number(dy[i]) : 0;
    ASSERT_EQ(number(dx[i]), share) << n << " of " << count;
    ASSERT_EQ(sum[i], start[i] + static_cast<float>(share)) << n << " of " << count;
  }
  y.expect_sentinels(std::to_string(n));
  dx.expect_sentinels(std::to_string(n));
  sum.expect_sentinels(std::to_string(n));
}

template <class T>
void check_all(const RowVariant& variant) {
  const RowKernels<T>& k = kernels_of<T>(variant);
  Rng rng(1, Purpose::Test, {});
  for (const Case& test : cases()) {
    check_moments(k, test, rng);
    check_normalize(k, test, rng);
    check_backward(k, test, rng);
    if (testing::Test::HasFatalFailure()) return;
  }
  for (int64_t n = 0; n < 80; ++n) {
    check_elements(k, n, rng);
    for (int64_t count : {1, 2, 4, 9}) check_windows(k, n, count, rng);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST_P(RowVariants, FloatAgreesWithTheFormulas) { check_all<float>(*variant_); }
TEST_P(RowVariants, Bf16AgreesWithTheFormulas) { check_all<bf16>(*variant_); }

/// The bits of what the ReLU, alone and behind a normalization, and its way back make of x.
template <class T>
void check_special_numbers(const RowKernels<T>& k) {
  constexpr int64_t kCount = 48;
  std::vector<T> x(kCount), ones(kCount, rounded<T>(1)), y(kCount), z(kCount), back(kCount);
  const double special[] = {NAN, -0.0, -1, 2, INFINITY, -INFINITY};
  for (size_t i = 0; i < x.size(); ++i) x[i] = rounded<T>(special[i % 6]);
  const std::vector<float> zero(kCount, 0.0f), one(kCount, 1.0f);
  k.relu(kCount, x.data(), y.data());
  k.normalize({1, kCount, kCount}, x.data(), {zero.data(), one.data(), zero.data()}, nullptr, true, z.data());
  k.relu_backward(kCount, ones.data(), y.data(), back.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = special[i % 6] <= 0 ? 0 : special[i % 6];
    for (const double got : {number(y[i]), number(z[i])}) {
      ASSERT_TRUE(std::isnan(want) ? std::isnan(got) : got == want) << special[i % 6] << " became " << got;
      ASSERT_TRUE(std::isnan(want) || !std::signbit(got)) << special[i % 6];
    }
    ASSERT_EQ(number(back[i]), want <= 0 ? 0 : 1) << special[i % 6];
  }
}

TEST_P(RowVariants, ReluPassesNanAndMakesNoNegativeZero) {
  check_special_numbers<float>(*variant_->f32);
  check_special_numbers<bf16>(*variant_->b16);
}

TEST_P(RowVariants, ConversionsAreThoseOfTheType) {
  std::vector<float> x;
  for (uint32_t high = 0; high < 0x10000; ++high)
    for (uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      x.push_back(std::bit_cast<float>(high << 16 | low));
  std::vector<bf16> y(x.size());
  variant_->floats->to_bf16(static_cast<int64_t>(x.size()), x.data(), y.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i].bits, bf16(x[i]).bits) << x[i];
  std::vector<float> back(x.size());
  variant_->floats->to_float(static_cast<int64_t>(x.size()), y.data(), back.data());
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), static_cast<uint32_t>(y[i].bits) << 16);
}

TEST_P(RowVariants, OptimiserStepsFollowTheirFormulas) {
  Rng rng(2, Purpose::Test, {});
  for (int64_t n : {0, 1, 3, 15, 16, 17, 33, 100, 4100}) {
    const Numbers<float> g(n, rng), p(n, rng), v(n, rng), s(n, rng);
    for (bool nesterov : {false, true}) {
      Numbers<float> q = p, w = v;
      variant_->floats->sgd(n, {0.1f, 0.9f, 0.01f, nesterov}, g.data(), q.data(), w.data());
      for (int64_t i = 0; i < n; ++i) {
        const float change = g[i] + 0.01f * p[i], velocity = 0.9f * v[i] + change;
        ASSERT_EQ(w[i], velocity);
        ASSERT_EQ(q[i], p[i] - 0.1f * (nesterov ? change + 0.9f * velocity : velocity));
      }
      q.expect_sentinels("sgd");
    }
    Numbers<float> q = p, first = v, second = s;
    for (int64_t i = 0; i < n; ++i) second.data()[i] = std::abs(second[i]);
    variant_->floats->sgd(n, {0.1f, 0, 0.01f, false}, g.data(), q.data(), nullptr);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(q[i], p[i] - 0.1f * (g[i] + 0.01f * p[i]));
    q = p;
    const AdamStep a{
        .size = 0.01f, .root = 0.5f, .rest1 = 0.1f, .beta2 = 0.99f, .rest2 = 0.01f, .eps = 1e-8f, .decay = 0.02f};
    variant_->floats->adam(n, a, g.data(), q.data(), first.data(), second.data());
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float change = g[i] + a.decay * p[i], m = v[i] + a.rest1 * (change - v[i]);
      const float r = a.beta2 * std::abs(s[i]) + a.rest2 * change * change;
      ASSERT_EQ(first[i], m);
      ASSERT_EQ(second[i], r);
      ASSERT_EQ(q[i], p[i] - a.size * (m / (std::sqrt(r) / a.root + a.eps)));
      squares += number(g[i]) * number(g[i]);
    }
    ASSERT_NEAR(variant_->floats->sum_of_squares(n, g.data()), squares, squares * 1e-12);
    Numbers<float> scaled = g;
    variant_->floats->scale(n, 0.3f, scaled.data());
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(scaled[i], 0.3f * g[i]);
    scaled.expect_sentinels("scale");
  }
}

/// Sums and results of one variant as bytes.
template <class T>
std::vector<double> results(const RowVariant& variant, const Case& test) {
  const RowKernels<T>& k = kernels_of<T>(variant);
  Rng rng(3, Purpose::Test, {});
  const Numbers<T> x(test.size(), rng), dz(test.size(), rng);
  const Numbers<float> c(test.lanes, rng), d(test.lanes, rng);
  Numbers<T> z(test.size(), rng);
  const auto lanes = static_cast<size_t>(test.lanes);
  std::vector<double> sums(4 * lanes, 0.0);
  k.add_moments(test.range(), x.data(), c.data(), sums.data(), sums.data() + lanes);
  k.add_gradient_moments(test.range(), dz.data(), x.data(), x.data(), c.data(), sums.data() + 2 * lanes,
                         sums.data() + 3 * lanes);
  k.normalize(test.range(), x.data(), {c.data(), d.data(), c.data()}, dz.data(), true, z.data());
  for (int64_t i = 0; i < test.size(); ++i) sums.push_back(number(z[i]));
  k.normalize_backward(test.range(), dz.data(), x.data(), x.data(), {c.data(), d.data(), c.data(), d.data()}, z.data(),
                       nullptr);
  for (int64_t i = 0; i < test.size(); ++i) sums.push_back(number(z[i]));
  return sums;
}

TEST_P(RowVariants, HasTheBitsOfThePlainVariant) {
  for (const Case& test : cases()) {
    ASSERT_EQ(results<float>(*variant_, test), results<float>(row_variants().back(), test)) << test.text();
    ASSERT_EQ(results<bf16>(*variant_, test), results<bf16>(row_variants().back(), test)) << test.text();
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowVariants, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const RowVariant& v : row_variants()) names.emplace_back(v.name);
                           return names;
                         }()),
                         [](const auto& test) { return test.param; });

TEST(Rows, TheBestSupportedVariantRuns) {
  for (const RowVariant& v : row_variants()) {
    if (!v.supported()) continue;
    EXPECT_EQ(&row_kernels<float>(), v.f32);
    EXPECT_EQ(&row_kernels<bf16>(), v.b16);
    EXPECT_EQ(&float_kernels(), v.floats);
    return;
  }
  FAIL() << "no variant";
}

}  // namespace
}  // namespace kronbit
