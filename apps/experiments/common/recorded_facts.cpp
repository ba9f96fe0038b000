#include "apps/experiments/common/recorded_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/experiments/common/experiment.h"
#include "apps/kronbit/search/statistics.h"

namespace kronbit::experiments {
namespace {

constexpr double kHigh = 0.9;  // accuracy

/// Functions of S, the sum of the errors of single layers.
struct ErrorForm {
  const char* name;
  double (*of)(double log_error);
};
constexpr ErrorForm kErrorForms[] = {{"-ln S", [](double log_error) { return -log_error; }},
                                     {"S^(1/4)", [](double log_error) { return std::exp(0.25 * log_error); }},
                                     {"S^(1/2)", [](double log_error) { return std::exp(0.5 * log_error); }},
                                     {"S^(3/4)", [](double log_error) { return std::exp(0.75 * log_error); }},
                                     {"S", [](double log_error) { return std::exp(log_error); }}};

/// Root mean square of what the straight line of least squares through (x, y) leaves.
double straight_line_rmse(const std::vector<double>& x, const std::vector<double>& y) {
  const double n = static_cast<double>(x.size()), mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n,
               mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0.0, xy = 0.0, yy = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  return std::sqrt(std::max(0.0, yy - (xx > 0.0 ? xy * xy / xx : 0.0)) / n);
}

/// A number of a row with so many digits.
std::string text(const Json& row, const char* name, int digits, double times) {
  return row[name].is_null() ? "-" : fmt::format("{:.{}f}", times * row[name].get<double>(), digits);
}

}  // namespace

Json judge_error_forms(const search::Problem& problem, const std::vector<double>& epochs) {
  Json rows = Json::array();
  for (size_t t = 0; t < epochs.size(); ++t) {
    std::vector<double> logits;
    for (const auto& trainings : problem.answers) {
      double accuracy = 0.0;
      for (const auto& training : trainings) accuracy += training.accuracy[t] / static_cast<double>(trainings.size());
      accuracy = std::clamp(accuracy, 1e-4, 1.0 - 1e-4);
      logits.push_back(std::log(accuracy / (1.0 - accuracy)));
    }
    Json row = {{"epochs", epochs[t]}};
    for (const ErrorForm& form : kErrorForms) {
      std::vector<double> x;
      for (const search::Candidate& candidate : problem.candidates) x.push_back(form.of(candidate.log_error));
      row[form.name] = std::stod(fmt::format("{:.4g}", straight_line_rmse(x, logits)));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Json judge_seeds(const search::Table& table) {
  Json rows = Json::array();
  for (size_t t = 0; t < table.epochs.size(); ++t) {
    struct Pool {
      double squares = 0.0, freedom = 0.0;
      int64_t configurations = 0;
    };
    Pool all[2], high[2];  // validation, test
    for (const search::Recorded& configuration : table.configurations) {
      if (configuration.trainings.size() < 2) continue;
      double last = 0.0;
      for (const search::Training& training : configuration.trainings)
        last += training.accuracy.back() / static_cast<double>(configuration.trainings.size());
      for (const int split : {0, 1}) {
        std::vector<double> values;
        for (const search::Training& training : configuration.trainings)
          values.push_back((split == 0 ? training.accuracy : training.test)[t]);
        const double sd = app::sd(values), freedom = static_cast<double>(values.size() - 1);
        for (Pool* pool : {&all[split], last > kHigh ? &high[split] : nullptr}) {
          if (!pool) continue;
          pool->squares += freedom * sd * sd;
          pool->freedom += freedom;
          ++pool->configurations;
        }
      }
    }
    if (all[0].configurations == 0) return rows;
    const auto deviation = [](const Pool& pool) {
      return pool.freedom > 0.0 ? Json(std::stod(fmt::format("{:.4g}", std::sqrt(pool.squares / pool.freedom))))
                                : Json();
    };
    rows.push_back({{"epochs", table.epochs[t]},
                    {"configurations", all[0].configurations},
                    {"high_configurations", high[0].configurations},
                    {"validation", deviation(all[0])},
                    {"test", deviation(all[1])},
                    {"high_validation", deviation(high[0])},
                    {"high_test", deviation(high[1])}});
  }
  return rows;
}

std::string recorded_facts_markdown(const Json& json) {
  std::string out;
  std::vector<std::vector<std::string>> lines;
  if (const Json forms = json.value("error_forms", Json::array()); !forms.empty()) {
    out +=
        "\n## The errors of single layers alone\n\nHow far the logits of all recorded accuracies are from a straight "
        "line over a function of S, the summed errors of the layers (root mean square).\n\n";
    lines = {{"epochs"}};
    for (const ErrorForm& form : kErrorForms) lines[0].push_back(form.name);
    for (const Json& row : forms) {
      lines.push_back({fmt::format("{}", row["epochs"].get<double>())});
      for (const ErrorForm& form : kErrorForms) lines.back().push_back(text(row, form.name, 3, 1));
    }
    out += markdown_table(lines);
  }
  if (const Json seeds = json.value("seeds", Json::array()); !seeds.empty()) {
    out += fmt::format(
        "\n## The luck of a training\n\nStandard deviation, in points, of accuracies between trainings of the same "
        "bits "
        "with other seeds: pooled over {} configurations, and over the {} of them that reach {:g} % at the last "
        "task.\n\n",
        seeds[0]["configurations"].get<int64_t>(), seeds[0]["high_configurations"].get<int64_t>(), 100 * kHigh);
    lines = {{"epochs", "validation", "test", fmt::format("validation, above {:g} %", 100 * kHigh),
              fmt::format("test, above {:g} %", 100 * kHigh)}};
    for (const Json& row : seeds) {
      lines.push_back({fmt::format("{}", row["epochs"].get<double>())});
      for (const char* name : {"validation", "test", "high_validation", "high_test"})
        lines.back().push_back(text(row, name, 2, 100));
    }
    out += markdown_table(lines);
  }
  return out;
}

}  // namespace kronbit::experiments
