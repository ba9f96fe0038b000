#include "quant/engine/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <set>

#include "quant/kernels/bitserial/planes.h"
#include "quant/kernels/rows.h"
#include "tensor/cpu.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/text.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace kronbit::quant {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsPerCandidate = 3e-3;
constexpr int64_t kMostChoiceBytes = 1 << 22;

const char* name_of(Border border) { return border == Border::Grouped ? "grouped" : "padded"; }

Border parse_border(const std::string& text, const std::string& where) {
  for (const Border border : {Border::Grouped, Border::Padded})
    if (text == name_of(border)) return border;
  input_error(where, "border: wanted grouped or padded, got {}", quote(text));
}

/// Reads as much as the second cache holds and more: the weights of a layer are not there when its turn comes.
void empty_second_cache() {
  static const std::vector<int64_t> filler(size_t{1} << 19, 1);  // 4 MB
  int64_t sum = 0;
  for (size_t i = 0; i < filler.size(); i += 8) sum += filler[i];
  __asm__ volatile("" : : "r"(sum));  // the reads are what is wanted
}

/// One way to run a layer, being timed.
struct Trial {
  const BlockKernel* kernel;
  Border border;
  std::shared_ptr<const KernelWeights> weights;
  std::vector<RowGroup> groups;
  double seconds = 1e300;  ///< best of its runs
};

/// Times all in turn, round by round: what else the machine does then spoils some rounds of all, not all rounds of one.
template <class Run>
void time_in_turn(std::vector<Trial>& trials, const Run& run) {
  constexpr int kLeastRounds = 3, kMostRounds = 20;
  constexpr double kHopeless = 2;  // times as slow as the best: not worth another round
  const double enough = kSecondsPerCandidate * static_cast<double>(trials.size());
  double spent = 0, best = 1e300;
  for (int round = 0; round < kMostRounds && (round < kLeastRounds || spent < enough); ++round) {
    for (Trial& trial : trials) {
      if (round > 0 && trial.seconds > kHopeless * best) continue;
      empty_second_cache();
      const auto start = Clock::now();
      run(trial);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      spent += seconds;
      trial.seconds = std::min(trial.seconds, seconds);
      best = std::min(best, trial.seconds);
    }
  }
}

}  // namespace

SampleRows::SampleRows(const ConvSite& site, int64_t images, RowForm form) {
  const int64_t rows = site.height * site.width * images, blocks = site.shape.blocks(), lanes = 32 * blocks;
  out = {.form = form, .format = site.shape.activations, .blocks = blocks};
  const int64_t bytes = out.mantissa_bytes(rows + 1), numbers = (rows + 1) * blocks;
  memory = allocate(static_cast<size_t>(bytes + 8 * numbers));
  std::memset(memory.get(), 0, static_cast<size_t>(bytes + 8 * numbers));
  out.mantissas = static_cast<std::byte*>(memory.get());
  out.steps = reinterpret_cast<float*>(out.mantissas + bytes);
  out.sums = reinterpret_cast<int32_t*>(out.steps + numbers);
  std::vector<float> row(static_cast<size_t>(lanes), 0.0f);
  Rng rng(1, Purpose::Synthetic, {static_cast<uint64_t>(rows)});
  for (int64_t c = 0; c < site.shape.channels; ++c)
    row[static_cast<size_t>(c)] = static_cast<float>(std::max(0.0, rng.uniform(-1, 1)));
  for (int64_t r = 0; r < rows; ++r) {
    std::rotate(row.begin(), row.begin() + 1, row.begin() + site.shape.channels);
    best_row_packer().pack(row.data(), lanes, 1, blocks, out, r, 0);
  }
}

int64_t chunk_rows(int64_t outputs) {
  return std::clamp<int64_t>((64 << 10) / (4 * std::max<int64_t>(outputs, 1)) / 12 * 12, 24, 192);
}

void run_product(const ConvSite& site, const BlockKernel& kernel, const std::byte* weights, const RowsView& x,
                 const std::vector<RowGroup>& groups, float* y) {
  const int64_t chunk = chunk_rows(site.shape.outputs), pitch = 16 * site.shape.panels();
  std::vector<Tap> taps;
  for (const RowGroup& group : groups) {
    for (int64_t begin = 0; begin < std::ssize(group.rows); begin += chunk) {
      const int64_t rows = std::min(chunk, std::ssize(group.rows) - begin);
      taps.clear();
      for (const RowGroup::TapRows& tap : group.taps) taps.push_back({tap.x_rows.data() + begin, tap.tap});
      kernel.run(site.shape, weights, x,
                 {.taps = taps, .rows = rows, .first_panel = 0, .panels = site.shape.panels(), .y = y, .pitch = pitch});
    }
  }
}

Chooser::Chooser(const EngineOptions& options, std::string key) : options_(options), key_(std::move(key)) {
  if (!options_.kernel.empty()) {
    forced_ = &find_block_kernel(options_.kernel);
    if (!forced_->supported())
      input_error("kernel", "{}: wanted a processor with {}, got one without", forced_->name, forced_->needs);
    if (options_.exact && !forced_->exact)
      input_error("kernel", "{}: wanted one of integer products (exact), got one that rounds", forced_->name);
  }
  read();
}

std::vector<const BlockKernel*> Chooser::candidates(const ConvSite& site) const {
  if (forced_) return {forced_};
  std::vector<const BlockKernel*> list;
  std::set<std::string_view> families;
  for (const BlockKernel* kernel : block_kernels()) {
    if (kernel->family == "reference" || kernel->family == "bf16-split" || (options_.exact && !kernel->exact)) continue;
    if (!kernel->supported() || families.contains(kernel->family)) continue;
    if (kernel->family == "bf16" && !native_bf16()) continue;
    if (kernel->family == "bitserial" &&
        site.shape.bits * site.shape.activations.bits > bitserial::kMostPlaneProducts && kInt8Avx2.supported())
      continue;  // there is something better
    families.insert(kernel->family);
    list.push_back(kernel);
  }
  if (list.empty()) list.push_back(&kBlockReference);
  return list;
}

std::shared_ptr<const KernelWeights> Chooser::weights(const ConvSite& site, const BlockKernel& kernel) {
  auto& known = weights_[{site.layer, kernel.name}];
  if (!known) {
    auto packed = std::make_shared<KernelWeights>();
    packed->bytes = kernel.packed_bytes(site.shape);
    packed->memory = allocate(static_cast<size_t>(packed->bytes));
    parallel_for(site.shape.panels(), 2, [&](int64_t begin, int64_t end) {
      kernel.pack(site.shape, *site.weights, begin, end - begin, static_cast<std::byte*>(packed->memory.get()));
    });
    known = std::move(packed);
  }
  return known;
}

DenseWeights Chooser::dense_weights(const std::string& layer, const std::function<std::vector<float>()>& make) {
  DenseWeights& known = dense_weights_[layer];
  if (!known) known = std::make_shared<const std::vector<float>>(make());
  return known;
}

Chosen Chooser::choose(const ConvSite& site, int64_t images) {
  const std::vector<const BlockKernel*> list = candidates(site);
  forced_used_ = true;  // only layers that a block product runs get here
  const std::string place = fmt::format("{}/{}/{}{}", site.layer, images, options_.exact ? "exact" : "any",
                                        forced_ ? "/" + std::string(forced_->name) : "");
  const auto result = [&](const Known& known, const BlockKernel& kernel) {
    Chosen chosen{&kernel, known.border == "padded" ? Border::Padded : Border::Grouped, weights(site, kernel), {}};
    chosen.report = {site.layer,         site.shape.bits, known.kernel,
                     known.microseconds, known.runner_up, known.runner_up_microseconds};
    return chosen;
  };
  if (const auto found = known_.find(place); found != known_.end()) {
    for (const BlockKernel* kernel : list)
      if (kernel->name == found->second.kernel) return result(found->second, *kernel);
  }
  std::vector<Trial> trials;
  std::map<RowForm, SampleRows> samples;
  for (const BlockKernel* kernel : list) {
    samples.try_emplace(kernel->form, site, images, kernel->form);
    for (Border border : {Border::Grouped, Border::Padded}) {
      constexpr int64_t kFewRows = 1024;  // beyond, the border is a small part
      if (border == Border::Padded && (site.height * site.width * images > kFewRows || site.conv.pad == 0)) continue;
      trials.push_back(
          {kernel, border, weights(site, *kernel), row_groups(site.conv, site.height, site.width, images, border)});
    }
  }
  const auto y = allocate(static_cast<size_t>(chunk_rows(site.shape.outputs) * 64 * site.shape.panels()));
  time_in_turn(trials, [&](const Trial& trial) {
    run_product(site, *trial.kernel, trial.weights->data(), samples.at(trial.kernel->form).out.view(), trial.groups,
                static_cast<float*>(y.get()));
  });
  std::vector<Known> timed;  // the better border of every kernel
  for (const Trial& trial : trials) {
    const Known known{std::string(trial.kernel->name), name_of(trial.border), "",
                      1e6 * trial.seconds / static_cast<double>(images), 0};
    if (timed.empty() || timed.back().kernel != known.kernel) {
      timed.push_back(known);
    } else if (known.microseconds < timed.back().microseconds) {
      timed.back() = known;
    }
  }
  trials.clear();  // lets go of the weights
  std::stable_sort(timed.begin(), timed.end(),
                   [](const Known& a, const Known& b) { return a.microseconds < b.microseconds; });
  Known winner = timed[0];
  if (timed.size() > 1) {
    winner.runner_up = timed[1].kernel;
    winner.runner_up_microseconds = timed[1].microseconds;
  }
  known_[place] = winner;
  changed_ = true;
  // Weights of losers are not needed any more.
  for (const BlockKernel* kernel : list)
    if (kernel->name != winner.kernel && weights_[{site.layer, kernel->name}].use_count() == 1)
      weights_.erase({site.layer, kernel->name});
  return result(winner,
                **std::find_if(list.begin(), list.end(), [&](const auto* k) { return k->name == winner.kernel; }));
}

void Chooser::read() {
  std::error_code absent;
  if (options_.choices.empty() || !std::filesystem::is_regular_file(options_.choices, absent)) return;
  try {
    const Json json = read_json(options_.choices, kMostChoiceBytes);
    const std::string where = options_.choices.string();
    if (get_string(json, "key", where) != key_) return;
    const auto kernel = [&](const Json& choice, const char* key) {
      return std::string(find_block_kernel(get_string(choice, key, where)).name);
    };
    for (const auto& [place, choice] : get_object(json, "choices", where).items()) {
      const bool alone = get_string(choice, "runner_up", where).empty();
      known_[place] = {kernel(choice, "kernel"), name_of(parse_border(get_string(choice, "border", where), where)),
                       alone ? "" : kernel(choice, "runner_up"), get_number(choice, "microseconds", 0, 1e12, where),
                       get_number(choice, "runner_up_microseconds", 0, 1e12, where)};
    }
  } catch (const InputError&) {
    known_.clear();  // not ours, or damaged: timed anew
  }
}

void Chooser::keep() const {
  if (options_.choices.empty() || !changed_) return;
  Json choices = Json::object();
  for (const auto& [place, known] : known_) {
    choices[place] = {{"kernel", known.kernel},
                      {"border", known.border},
                      {"microseconds", known.microseconds},
                      {"runner_up", known.runner_up},
                      {"runner_up_microseconds", known.runner_up_microseconds}};
  }
  try {
    publish(options_.choices, dump_pretty({{"key", key_}, {"choices", choices}}));
  } catch (const Error&) {
    // A model in a folder that cannot be written to: timed at every start.
  }
}

int64_t Chooser::weight_bytes() const {
  int64_t bytes = 0;
  for (const auto& [key, weights] : weights_) bytes += weights->bytes;
  for (const auto& [layer, weights] : dense_weights_)
    bytes += std::ssize(*weights) * static_cast<int64_t>(sizeof(float));
  return bytes;
}

}  // namespace kronbit::quant
