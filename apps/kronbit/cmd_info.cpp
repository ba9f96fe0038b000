// kronbit info: what this machine can do, which compute kernels run and why others do not.
#include <unistd.h>

#include "apps/kronbit/common.h"
#include "nn/models/models.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/cpu.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

constexpr std::pair<DType, const char*> kTypes[] = {{DType::F32, "f32"}, {DType::BF16, "bf16"}, {DType::F64, "f64"}};

/// A variant of brgemm, what it computes and whether it runs here.
Json describe(const BrgemmVariant& v) {
  const bool supported = v.supported();
  Json types = Json::array();
  std::string in_use;
  for (const auto& [type, name] : kTypes) {
    if (!v.serves(type)) continue;
    types.push_back(name);
    if (v.name != brgemm_variant(type).name) continue;
    in_use += (in_use.empty() ? "in use for " : ", ") + std::string(name);
  }
  return {{"family", "brgemm"},
          {"name", v.name},
          {"needs", v.needs},
          {"types", types},
          {"supported", supported},
          {"used", !in_use.empty()},
          {"note", !in_use.empty() ? in_use
                   : supported     ? "available: --kernel " + std::string(v.name)
                                   : "wants " + std::string(v.needs) + ", which is not here or switched off"}};
}

int run(const Frame& frame) {
  Json kernels = Json::array();
  for (const BrgemmVariant& v : brgemm_variants()) kernels.push_back(describe(v));
  const std::string expected = openblas_core_expected();
  const Json info = {{"version", KRONBIT_VERSION},
                     {"compiler", __VERSION__},
                     {"cpu", cpu().model},
                     {"features", cpu_feature_list()},
                     {"isa_level", name_of(isa_level())},
                     {"native_bf16", native_bf16()},
                     {"cpus_online", sysconf(_SC_NPROCESSORS_ONLN)},
                     {"threads", threads()},
                     {"memory_bytes", static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE)},
                     {"openblas_core", openblas_core()},
                     {"gpu", "none (this build has no CUDA kernels)"},
                     {"networks", nn::model_names()},
                     {"kernels", kernels}};
  if (frame.json) {
    print_json(info);
    return 0;
  }
  fmt::print("kronbit {} ({})\n", KRONBIT_VERSION, __VERSION__);
  fmt::print("cpu       {}\n          {}\n", cpu().model, cpu_feature_list());
  fmt::print("level     {}; bf16 products are {} than f32\n", name_of(isa_level()),
             native_bf16() ? "faster" : "no faster");
  fmt::print("threads   {} of {} processors\n", threads(), sysconf(_SC_NPROCESSORS_ONLN));
  fmt::print("openblas  {}{}\n", openblas_core(),
             expected.empty() ? "" : fmt::format(" (slow here: start with OPENBLAS_CORETYPE={})", expected));
  fmt::print("gpu       none (this build has no CUDA kernels)\n");
  for (const Json& k : kernels) {
    fmt::print("kernel    {} {:<10} {:<13} {}\n", k["family"].get<std::string>(), k["name"].get<std::string>(),
               fmt::format("{}", fmt::join(k["types"].get<std::vector<std::string>>(), " ")),
               k["note"].get<std::string>());
  }
  fmt::print("networks  {}\n", fmt::join(nn::model_names(), " "));
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Frame& frame) {
  add_command(app, frame, "info", "what this machine can do, and which kernels run on it",
              "Examples:\n  kronbit info\n  kronbit info --json", [&frame] { return run(frame); });
}

}  // namespace kronbit::app
