#include "apps/kronbit/runs/replicates.h"

#include "apps/kronbit/options/common.h"
#include "apps/kronbit/search/expectation.h"
#include "apps/kronbit/search/statistics.h"
#include "tensor/io/file.h"

namespace kronbit::app {
void report_spread(const Frame& frame, const std::vector<Outcome>& outcomes, const std::filesystem::path& out) {
  std::vector<double> scores, top1, bytes;
  Json rows = Json::array();
  for (const Outcome& o : outcomes) {
    scores.push_back(o.score);
    bytes.push_back(o.bytes);
    if (o.top1) top1.push_back(*o.top1);
    rows.push_back({{"bits", o.bits},
                    {"bytes", o.bytes},
                    {"validation", o.validation},
                    {"score", o.score},
                    {"top1", o.top1 ? Json(*o.top1) : Json(nullptr)}});
  }
  std::vector<double> per_layer;
  for (size_t l = 0; l < outcomes[0].bits.size(); ++l) {
    std::vector<double> bits;
    for (const Outcome& o : outcomes) bits.push_back(o.bits[l]);
    per_layer.push_back(sd(bits));
  }
  const Json spread = {{"replicates", rows},
                       {"score_mean", mean(scores)},
                       {"score_sd", sd(scores)},
                       {"bytes_mean", mean(bytes)},
                       {"bytes_sd", sd(bytes)},
                       {"top1_mean", top1.empty() ? Json(nullptr) : Json(mean(top1))},
                       {"top1_sd", top1.empty() ? Json(nullptr) : Json(sd(top1))},
                       {"bits_sd", per_layer}};
  publish(out / "replicates.json", dump_pretty(spread));
  if (frame.json) return print_json(spread);
  fmt::print("\n{} searches that differ in their seed only:\n", outcomes.size());
  for (const Outcome& o : outcomes)
    fmt::print("  {:<32} {}  validation {:.2f} %{}\n", format_bits(o.bits), megabytes(o.bytes), 100 * o.validation,
               o.top1 ? fmt::format("  top-1 {:.2f} %", 100 * *o.top1) : "");
  if (!top1.empty()) fmt::print("top-1 {:.2f} % +- {:.2f} (sd between searches), ", 100 * mean(top1), 100 * sd(top1));
  fmt::print("{} +- {:.1f} %; bits of a layer differ by {:.2f} (sd, mean over layers)\n", megabytes(mean(bytes)),
             100 * sd(bytes) / mean(bytes), mean(per_layer));
}

}  // namespace kronbit::app
