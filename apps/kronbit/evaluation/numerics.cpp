#include "apps/kronbit/evaluation/numerics.h"

#include <gnu/libc-version.h>
#include <unistd.h>

#include <algorithm>

#include "apps/kronbit/options/common.h"
#include "search/journal.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/cpu.h"
#include "tensor/io/crc32.h"

namespace kronbit::app {
namespace {

std::string kernel_of(DType type) {
  const std::string name(brgemm_variant(type).name);
  return name == "openblas" ? name + " " + openblas_core() : name;
}

/// Why a kernel does not run here, or "".
std::string lacking(const std::string& kernel) {
  const std::string name = kernel.substr(0, kernel.find(' '));
  const auto all = brgemm_variants();
  const auto found = std::find_if(all.begin(), all.end(), [&](const BrgemmVariant& v) { return v.name == name; });
  if (found == all.end()) return "a program that has it";
  return found->supported() ? "" : "a processor with " + std::string(found->needs);
}

}  // namespace

Numerics numerics_here(const std::string& precision) {
  return {precision, kernel_of(DType::F32), precision == precision_name(DType::BF16) ? kernel_of(DType::BF16) : "",
          __builtin_cpu_supports("fma") ? "fma" : "no fma"};
}

Numerics numerics_of_run(const Frame& frame, const std::filesystem::path& run, const std::string& precision) {
  const bool named = !frame.kernel.empty() && frame.kernel != "auto";
  const search::JournalContent known = search::read_journal(run);
  if (named || known.lines.empty()) return numerics_here(precision);
  const Json& settings = get_object(known.lines[0], "settings", "journal");
  if (!has(settings, "numerics")) return numerics_here(precision);
  return numerics_from_json(get_object(settings, "numerics", "journal"), "journal");
}

Json to_json(const Numerics& n) {
  return {{"precision", n.precision}, {"f32", n.f32}, {"bf16", n.bf16}, {"libm", n.libm}};
}

Numerics numerics_from_json(const Json& json, std::string_view where) {
  return {get_string(json, "precision", where), get_string(json, "f32", where), get_string(json, "bf16", where),
          get_string(json, "libm", where)};
}

void adopt(const Numerics& wanted) {
  if (numerics_here(wanted.precision) == wanted) return;
  const auto refuse = [&](const std::string& what, const std::string& need, const std::string& has) {
    throw Refusal(fmt::format("worker {} cannot {}: wanted {}, has {}", host_name(), what, need, has));
  };
  const std::string here = fmt::format("{} ({})", cpu().model, name_of(isa_level()));
  for (const auto& [type, kernel] : {std::pair{"bf16", wanted.bf16}, {"f32", wanted.f32}}) {
    if (kernel.empty()) continue;
    if (const std::string need = lacking(kernel); !need.empty())
      refuse(fmt::format("run the {} kernel {}", type, kernel), need, here);
  }
  // The kernel of the precision decides; the other type then takes what is fastest here, if the kernel does not serve
  // it.
  const std::string& first = wanted.bf16.empty() ? wanted.f32 : wanted.bf16;
  force_brgemm_variant(first.substr(0, first.find(' ')));
  const Numerics now = numerics_here(wanted.precision);
  if (now != wanted) refuse("calculate as this search does", dump_line(to_json(wanted)), dump_line(to_json(now)));
}

std::string program_identity() {
  // The link leads to the file that runs, even if another has taken its name meanwhile.
  return fmt::format("kronbit {} crc32:{} glibc {}", KRONBIT_VERSION, hex_of(crc32_of_file("/proc/self/exe")),
                     gnu_get_libc_version());
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != 0 ? name : "unnamed";
}

}  // namespace kronbit::app
