#include "apps/kronbit/progress.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kronbit::app {
namespace {

TEST(Progress, SaysHowLongInTwoUnits) {
  EXPECT_EQ(duration_text(0.4), "0 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(185), "3 min 05 s");
  EXPECT_EQ(duration_text(7800), "2 h 10 min");
  EXPECT_EQ(duration_text(360000), "100 h 00 min");
  for (const double wrong : {-1.0, std::nan(""), HUGE_VAL}) EXPECT_EQ(duration_text(wrong), "?");
}

}  // namespace
}  // namespace kronbit::app
