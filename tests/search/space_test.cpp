#include "search/space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "tensor/base/error.h"
#include "tests/tensor/message_of.h"

namespace kronbit::search {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> names(int64_t layers) {
  std::vector<std::string> result;
  for (int64_t i = 0; i < layers; ++i) result.push_back(fmt::format("layer{}.conv", i));
  return result;
}

Cost cost_of(const Bits& bits) {
  const int sum = std::accumulate(bits.begin(), bits.end(), 0);
  return {100.0 * sum, 0.0, sum / static_cast<double>(bits.size()), 0.0};
}

SpaceOptions options_for(const Curve& curve, int64_t layers) {
  SpaceOptions options;
  options.curve = curve;
  options.layers = names(layers);
  options.cost = cost_of;
  return options;
}

TEST(Curve, HandValues) {
  // p = (1 - x) w0 + x w1
  EXPECT_DOUBLE_EQ(Curve::bezier(1).value(0.25, std::vector<double>{0.2, 0.6}), 0.3);
  // Middle of the quadratic: (w0 + 2 w1 + w2) / 4
  EXPECT_DOUBLE_EQ(Curve::bezier(2).value(0.5, std::vector<double>{0.0, 1.0, 0.4}), 0.6);
  // T_0..T_3 at t = 2 * 0.75 - 1 = 0.5: 1, 0.5, -0.5, -1; all w = 1: ((1 + 0.5 - 0.5 - 1)/2 + 1)/2
  EXPECT_DOUBLE_EQ(Curve::chebyshev(4).value(0.75, std::vector<double>{1, 1, 1, 1}), 0.5);
  EXPECT_DOUBLE_EQ(Curve::chebyshev(4).value(0.75, std::vector<double>{1, 0.5, 0.5, 0}), 1.0);
  // g(t; w) = 0.5 + t (w - 0.5)
  EXPECT_DOUBLE_EQ(Curve::line().value(0.5, std::vector<double>{0.9}), 0.7);
}

TEST(Curve, RoundsHalfUpAndClamps) {
  // 8 p + 1 = 2.5 exactly at p = 3/16.
  EXPECT_EQ(Curve::bezier(1).bits(std::vector<double>{3.0 / 16, 3.0 / 16}, 3), Bits(3, 3));
  EXPECT_EQ(Curve::bezier(1).bits(std::vector<double>{1.0, 0.0}, 1), Bits{1});  // x_1 = 1: the last weight
  EXPECT_EQ(Curve::bezier(1).bits(std::vector<double>{0.0, 1.0}, 4), (Bits{3, 5, 7, 8}));
  EXPECT_EQ(Curve::chebyshev(3).bits(std::vector<double>{1, 1, 1}, 2), (Bits{5, 8}));  // p = 1/2 and 5/4
}

TEST(Curve, DrawsThePapersExamples) {
  // Fig. 2: weights from a linear program over the rounding limits; the figure's green list is cut short in print, its
  // 20th layer has 2 bits.
  const auto drawn = [](int weights, const std::vector<double>& w, int64_t layers) {
    return Curve::chebyshev(weights).bits(w, layers);
  };
  EXPECT_EQ(drawn(5, {0.75, 0.0, 0.42, 0.4, 0.37}, 8), (Bits{8, 7, 6, 6, 6, 6, 5, 3}));
  EXPECT_EQ(drawn(7, {0.6, 0.36, 0.6, 0.0, 0.03, 0.76, 0.34}, 8), (Bits{8, 3, 2, 4, 6, 8, 7, 2}));
  EXPECT_EQ(drawn(8, {0.0, 0.215, 0.576, 0.236, 1.0, 0.051, 0.717, 0.345}, 20),
            (Bits{1, 1, 1, 2, 3, 4, 4, 4, 4, 4, 4, 3, 3, 2, 2, 2, 2, 2, 2, 2}));
  // With the 19 layers that are printed.
  EXPECT_EQ(drawn(8, {0.0, 0.3, 0.54, 0.28, 1.0, 0.15, 0.68, 0.39}, 19),
            (Bits{1, 1, 1, 2, 3, 4, 4, 4, 4, 4, 4, 3, 3, 2, 2, 2, 2, 2, 2}));
}

TEST(Curve, ReadsItsNames) {
  for (const char* text : {"bezier:1", "bezier:15", "chebyshev:1", "chebyshev:16", "line"})
    EXPECT_EQ(Curve::parse(text).text(), text);
  for (const char* text : {"", "bezier", "bezier:", "bezier:0", "bezier:16", "bezier:99", "bezier:-1", "bezier:1x",
                           "chebyshev:", "chebyshev:0", "chebyshev:17", "spline:3", "line:1", "bezier:99999999999999"})
    EXPECT_THROW(Curve::parse(text), InputError) << text;
}

TEST(Curve, FitIsWithinOneBitOfTheWeights) {
  const Curve curve = Curve::bezier(1);
  for (const CurvePoint& point : distinct_points(curve, 20)) {
    if (*std::max_element(point.bits.begin(), point.bits.end()) == 8 || point.bits.front() == 1 ||
        point.bits.back() == 1)
      continue;
    const std::vector<double> w = curve.fit(point.bits);
    for (size_t j = 0; j < 2; ++j) EXPECT_NEAR(w[j], point.w[j], 0.125) << format_bits(point.bits);
  }
  EXPECT_EQ(curve.fit(Bits{8}).size(), 2u);  // one layer, two weights: the ridge decides
}

TEST(Space, CountsOfTheLinearCurve) {
  const std::vector<std::pair<int64_t, size_t>> counts = {{1, 8},     {2, 43},    {8, 431},    {13, 1038},
                                                          {16, 1559}, {20, 2361}, {53, 15491}, {64, 22445}};
  for (const auto& [layers, count] : counts)
    EXPECT_EQ(distinct_points(Curve::bezier(1), layers).size(), count) << layers;
}

TEST(Space, EnumerationAgreesWithDenseSampling) {
  for (const int64_t layers : {1, 2, 3, 8}) {
    const Curve curve = Curve::bezier(1);
    std::set<Bits> sampled;
    const std::vector<Curve::Basis> bases = curve.layer_bases(layers);
    for (int i = 0; i <= 640; ++i)
      for (int j = 0; j <= 640; ++j) sampled.insert(Curve::bits(std::vector<double>{i / 640.0, j / 640.0}, bases));
    std::set<Bits> listed;
    for (const CurvePoint& point : distinct_points(curve, layers)) listed.insert(point.bits);
    EXPECT_TRUE(std::includes(listed.begin(), listed.end(), sampled.begin(), sampled.end())) << layers;
    if (layers <= 3) {
      EXPECT_EQ(listed, sampled);
    }
  }
}

TEST(Space, OneWeightListsAreThoseOfDenseSampling) {
  for (const char* text : {"line", "chebyshev:1"})
    for (const int64_t layers : {1, 3, 8, 10, 16}) {
      const Curve curve = Curve::parse(text);
      const std::vector<Curve::Basis> bases = curve.layer_bases(layers);
      std::set<Bits> sampled, listed;
      for (int i = 0; i <= 1 << 16; ++i) sampled.insert(Curve::bits(std::vector<double>{i / 65536.0}, bases));
      for (const CurvePoint& point : distinct_points(curve, layers)) listed.insert(point.bits);
      EXPECT_EQ(listed, sampled) << text << " " << layers;
    }
}

TEST(Space, EveryListIsDrawnByItsWeights) {
  for (const char* text : {"bezier:1", "chebyshev:4", "chebyshev:1", "line"}) {
    const Curve curve = Curve::parse(text);
    const std::vector<CurvePoint> points = distinct_points(curve, 10, 3000);
    for (size_t p = 0; p < points.size(); ++p) {
      EXPECT_EQ(curve.bits(points[p].w, 10), points[p].bits);
      if (p > 0) {
        EXPECT_LT(points[p - 1].bits, points[p].bits);
      }
    }
    EXPECT_LE(points.size(), 3000u);
  }
  EXPECT_EQ(distinct_points(Curve::chebyshev(1), 20).size(), 5u);  // p in 1/4..3/4: 3 to 7 bits everywhere
}

TEST(Space, CandidatesFollowTheConstraints) {
  SpaceOptions options = options_for(Curve::bezier(1), 8);
  options.constraints.add_fix("layer0.*=8");
  options.constraints.bits_min = 2;
  options.constraints.bits_max = 6;
  options.constraints.add_tie("layer1.conv,layer7*");
  const std::vector<Candidate> candidates = make_candidates(options);
  EXPECT_LT(candidates.size(), 431u);
  std::set<Bits> seen;
  for (const Candidate& candidate : candidates) {
    EXPECT_TRUE(seen.insert(candidate.bits).second);
    EXPECT_EQ(candidate.bits[0], 8);
    EXPECT_EQ(candidate.bits[1], candidate.bits[7]);
    for (size_t layer = 1; layer < 8; ++layer) EXPECT_TRUE(candidate.bits[layer] >= 2 && candidate.bits[layer] <= 6);
    EXPECT_DOUBLE_EQ(candidate.cost.bytes, cost_of(candidate.bits).bytes);
  }
}

TEST(Space, TiesShareTheRoundedMean) {
  Constraints constraints;
  constraints.add_tie("a,c");
  EXPECT_EQ(LayerRules(constraints, {"a", "b", "c"}).apply({1, 8, 2}), (Bits{2, 8, 2}));
}

TEST(Space, LimitsAndMore) {
  SpaceOptions options = options_for(Curve::bezier(1), 8);
  options.limits.max_average_bits = 2.0;
  options.more = {Bits(8, 8), Bits(8, 2), {1, 8, 1, 8, 1, 8, 1, 8}};
  const std::vector<Candidate> candidates = make_candidates(options);
  ASSERT_GT(candidates.size(), 2u);
  EXPECT_EQ(candidates.back().bits, options.more[2]);
  EXPECT_EQ(candidates[candidates.size() - 2].bits, Bits(8, 8));
  for (size_t c = 0; c + 2 < candidates.size(); ++c) EXPECT_LE(candidates[c].cost.average_bits, 2.0);
  EXPECT_EQ(
      std::count_if(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.bits == Bits(8, 2); }), 1);

  // No curve is within the limit, but another list is.
  options.curve = Curve::line();
  options.limits.max_average_bits = 1.5;
  options.more = {};
  options.also = {{1, 1, 1, 1, 2, 2, 2, 2}, Bits(8, 2)};
  ASSERT_EQ(make_candidates(options).size(), 1u);
  EXPECT_EQ(make_candidates(options)[0].bits, options.also[0]);

  options.curve = Curve::bezier(1);
  options.also = {};
  options.limits.max_bytes = 100;
  EXPECT_THAT(message_of([&] { make_candidates(options); }),
              HasSubstr("the smallest candidate, 11111111, has 800 bytes"));
}

TEST(Space, LimitOfLatency) {
  SpaceOptions options = options_for(Curve::bezier(1), 8);
  options.cost = [](const Bits& bits) {
    Cost cost = cost_of(bits);
    cost.milliseconds = 0.25 + bits.front() * 0.5;  // only the first layer takes time
    return cost;
  };
  options.limits.max_milliseconds = 1.25;
  const std::vector<Candidate> candidates = make_candidates(options);
  EXPECT_GT(candidates.size(), 2u);
  for (const Candidate& candidate : candidates) EXPECT_LE(candidate.bits.front(), 2);
  options.limits.max_milliseconds = 0.5;
  const std::string text = message_of([&] { make_candidates(options); });
  EXPECT_THAT(text, HasSubstr("at most 0.5 ms"));
  EXPECT_THAT(text, HasSubstr("the fastest takes 0.75 ms"));
}

TEST(Space, ConstraintMistakesAreNamed) {
  const std::vector<std::string> layers = {"conv1", "conv2"};
  const auto rules = [&](const Constraints& constraints) {
    return message_of([&] { LayerRules(constraints, layers); });
  };
  Constraints fixed;
  fixed.add_fix("conv3=4");
  EXPECT_THAT(rules(fixed), HasSubstr("conv3"));
  Constraints twice;
  twice.add_fix("conv*=4,conv1=3");
  EXPECT_THAT(rules(twice), HasSubstr("got 4 and 3"));
  Constraints both;
  both.add_fix("conv1=4");
  both.add_tie("conv*");
  EXPECT_THAT(rules(both), HasSubstr("fixed or tied"));
  Constraints ties;
  ties.add_tie("conv*");
  ties.add_tie("conv2");
  EXPECT_THAT(rules(ties), HasSubstr("got two"));
  Constraints range;
  range.bits_min = 5;
  range.bits_max = 4;
  EXPECT_THAT(rules(range), HasSubstr("got 5..4"));
  for (const char* text : {"", "conv1", "conv1=", "=4", "conv1=0", "conv1=9", "conv1=44", "conv1=4,"})
    EXPECT_THROW(Constraints().add_fix(text), InputError) << text;
}

TEST(Space, SpaceFillingPointsAreSpread) {
  // The first 64 points of the plane: every one of 16 equal squares gets 2 to 6 of its 4.
  std::vector<int> hits(16, 0);
  for (size_t i = 0; i < 64; ++i) {
    const std::vector<double> x = space_filling_point(i, {0.1, 0.7});
    ++hits[static_cast<size_t>(x[0] * 4) * 4 + static_cast<size_t>(x[1] * 4)];
  }
  for (const int count : hits) EXPECT_TRUE(count >= 2 && count <= 6) << count;
}

}  // namespace
}  // namespace kronbit::search
