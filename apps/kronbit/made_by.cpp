#include "apps/kronbit/made_by.h"

#include <fmt/format.h>

#include "tensor/cpu.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

constexpr const char* kCompiler = "g++ " __VERSION__;

}  // namespace

Json made_by() {
  return {{"version", KRONBIT_VERSION},
          {"commit", program_commit()},
          {"compiler", kCompiler},
          {"cpu", cpu().model},
          {"threads", threads()}};
}

std::vector<Json> makers_of(const std::vector<Json>& lines) {
  std::vector<Json> makers;
  for (const Json& line : lines) {
    if (!has(line, "made_by")) continue;
    const Json& by = get_object(line, "made_by", "journal");
    if (makers.empty() || makers.back() != by) makers.push_back(by);
  }
  return makers;
}

std::string maker_text(const Json& by) {
  const auto text = [&](const char* key) { return get_string(by, key, "journal"); };
  const int64_t threads = get_int(by, "threads", 1, INT32_MAX, "journal");
  return fmt::format("kronbit {} ({}, {}) on {}, {} thread{}", text("version"), text("commit"), text("compiler"),
                     text("cpu"), threads, threads == 1 ? "" : "s");
}

std::string version_text() {
#ifdef KRONBIT_HAS_CUDA
  const char* const gpus = "built in";
#else
  const char* const gpus = "not built in: no nvcc of CUDA 12 or later";
#endif
  return fmt::format("{}\ncommit    {}\ncompiler  {}\nCUDA      {}", KRONBIT_VERSION, program_commit(), kCompiler,
                     gpus);
}

}  // namespace kronbit::app
