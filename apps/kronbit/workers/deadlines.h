// How long an evaluation may take: ten times what it is expected to, so that one that hangs costs a little time and not
// the search. Deadlines only end evaluations; they never change what one calculates.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kronbit::app {

class Deadlines {
 public:
  /// "auto", "0" or "off", or a fixed duration for every evaluation: "10min". Throws: InputError.
  static Deadlines parse(std::string_view text);

  /// An evaluation of so many epochs took so many seconds.
  void learn(double epochs, double seconds);

  struct Limit {
    double seconds = 0;
    double expected = 0;  ///< seconds; 0 = the limit is a fixed one
    /// "no result after 320 s, 10 times the expected 32 s"
    std::string reason() const;
  };
  /// auto: 10 times the mean of those of as many epochs; without any, of the slowest of the others in proportion to the
  ///       epochs, where starting and measuring count as a tenth of one. At least a minute. Nothing before anything is
  ///       known.
  std::optional<Limit> of(double epochs) const;

 private:
  struct Known {
    int count = 0;
    double seconds = 0;  // sum
    double mean() const { return seconds / count; }
  };
  bool automatic_ = true;
  double fixed_ = 0;  // 0 = none
  std::map<double, Known> known_;
};

}  // namespace kronbit::app
