#include "tensor/cpu.h"

#include <cblas.h>
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// All zero when the processor has no such leaf.
Leaf cpuid(uint32_t number, uint32_t part = 0) {
  Leaf leaf;
  __get_cpuid_count(number, part, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx);
  return leaf;
}

constexpr bool bit(uint64_t word, int index) { return (word >> index & 1) != 0; }

/// Register sets the operating system saves. Only legal when CPUID says OSXSAVE.
uint64_t read_xcr0() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

/// Asks Linux for the AMX tile registers and reads the answer back: the request alone can succeed and mean nothing in a
/// filtered process.
bool request_amx() {
  constexpr long kGetPermission = 0x1022, kRequestPermission = 0x1023, kTileData = 18;
  uint64_t granted = 0;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return false;
  return syscall(SYS_arch_prctl, kGetPermission, &granted) == 0 && bit(granted, kTileData);
}

std::string vendor_name() {
  const Leaf leaf = cpuid(0);
  std::array<char, 12> text;
  std::memcpy(text.data(), &leaf.ebx, 4);
  std::memcpy(text.data() + 4, &leaf.edx, 4);
  std::memcpy(text.data() + 8, &leaf.ecx, 4);
  return std::string(text.data(), text.size());
}

std::string model_name() {
  std::string name;
  for (uint32_t part = 0x80000002; part <= 0x80000004; ++part) {
    const Leaf leaf = cpuid(part);
    name.append(reinterpret_cast<const char*>(&leaf), sizeof leaf);
  }
  name = name.c_str();  // up to the first NUL
  const size_t first = name.find_first_not_of(' ');
  return first == std::string::npos ? "unknown" : name.substr(first, name.find_last_not_of(' ') - first + 1);
}

CpuFeatures detect() {
  CpuFeatures f;
  f.vendor = vendor_name();
  f.model = model_name();
  const Leaf one = cpuid(1), seven = cpuid(7), seven_one = cpuid(7, 1);
  f.sse2 = bit(one.edx, 26);
  f.ssse3 = bit(one.ecx, 9);
  f.sse41 = bit(one.ecx, 19);
  f.sse42 = bit(one.ecx, 20);
  f.popcnt = bit(one.ecx, 23);

  const uint64_t saved = bit(one.ecx, 27) ? read_xcr0() : 0;
  const bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6, tiles = (saved & 0x60000) == 0x60000;
  f.avx = ymm && bit(one.ecx, 28);
  f.f16c = f.avx && bit(one.ecx, 29);
  f.fma = f.avx && bit(one.ecx, 12);
  f.avx2 = f.avx && bit(seven.ebx, 5);
  f.avx_vnni = f.avx2 && bit(seven_one.eax, 4);
  f.avx512f = zmm && bit(seven.ebx, 16);
  f.avx512dq = f.avx512f && bit(seven.ebx, 17);
  f.avx512cd = f.avx512f && bit(seven.ebx, 28);
  f.avx512bw = f.avx512f && bit(seven.ebx, 30);
  f.avx512vl = f.avx512f && bit(seven.ebx, 31);
  f.avx512_vbmi = f.avx512f && bit(seven.ecx, 1);
  f.avx512_vnni = f.avx512f && bit(seven.ecx, 11);
  f.avx512_vpopcntdq = f.avx512f && bit(seven.ecx, 14);
  f.avx512_bitalg = f.avx512f && bit(seven.ecx, 12);
  f.gfni = bit(seven.ecx, 8);
  f.avx512_bf16 = f.avx512f && bit(seven_one.eax, 5);
  f.amx_tile = tiles && bit(seven.edx, 24) && request_amx();
  f.amx_int8 = f.amx_tile && bit(seven.edx, 25);
  f.amx_bf16 = f.amx_tile && bit(seven.edx, 22);
  return f;
}

/// Takes away all that lies above a level.
CpuFeatures up_to(Isa level, CpuFeatures f) {
  if (level < Isa::Amx) f.amx_tile = f.amx_int8 = f.amx_bf16 = false;
  if (level < Isa::Avx512Bf16) f.avx512_bf16 = false;
  if (level < Isa::Avx512) {
    f.avx512f = f.avx512dq = f.avx512cd = f.avx512bw = f.avx512vl = false;
    f.avx512_vbmi = f.avx512_vnni = f.avx512_vpopcntdq = f.avx512_bitalg = false;
  }
  if (level < Isa::Avx2) {
    f.ssse3 = f.sse41 = f.sse42 = f.popcnt = false;
    f.avx = f.f16c = f.fma = f.avx2 = f.avx_vnni = f.gfni = false;
  }
  return f;
}

bool has_level(Isa level, const CpuFeatures& f) {
  switch (level) {
    case Isa::Baseline:
      return true;
    case Isa::Avx2:
      return f.avx2 && f.fma;
    case Isa::Avx512:
      return f.avx512f;
    case Isa::Avx512Bf16:
      return f.avx512_bf16;
    case Isa::Amx:
      return f.amx_bf16;
  }
  return false;
}

/// What cpu() says for each limit; without one, the last.
const CpuFeatures& limited_to(Isa level) {
  static const std::array<CpuFeatures, kIsaLevels> features = [] {
    const CpuFeatures all = detect();
    std::array<CpuFeatures, kIsaLevels> limited;
    for (size_t i = 0; i < limited.size(); ++i) limited[i] = up_to(static_cast<Isa>(i), all);
    return limited;
  }();
  return features[static_cast<size_t>(level)];
}

std::atomic<Isa> limit{Isa::Amx};

}  // namespace

const CpuFeatures& cpu() { return limited_to(limit.load(std::memory_order_relaxed)); }

const char* name_of(Isa level) {
  constexpr std::array<const char*, kIsaLevels> kNames = {"baseline", "avx2", "avx512", "avx512bf16", "amx"};
  return kNames[static_cast<size_t>(level)];
}

Isa isa_level() {
  for (int i = kIsaLevels - 1; i > 0; --i) {
    if (has_level(static_cast<Isa>(i), cpu())) return static_cast<Isa>(i);
  }
  return Isa::Baseline;
}

void limit_isa(std::string_view name) {
  if (name == "auto") {
    limit = Isa::Amx;
    return;
  }
  const CpuFeatures& all = limited_to(Isa::Amx);
  std::string known = "auto";
  for (int i = 0; i < kIsaLevels; ++i) {
    const Isa level = static_cast<Isa>(i);
    known += std::string(", ") + name_of(level);
    if (name != name_of(level)) continue;
    if (!has_level(level, all)) input_error("isa", "level {}: wanted one this processor has, got {}", name, all.model);
    limit = level;
    return;
  }
  input_error("isa", "level: wanted one of {}, got {}", known, name);
}

bool native_bf16() { return native_bf16(cpu()); }
bool native_bf16(const CpuFeatures& features) {
  return features.amx_bf16 || (features.avx512_bf16 && features.vendor != "GenuineIntel");
}

std::string cpu_feature_list() {
  const CpuFeatures& f = cpu();
  const std::pair<bool, const char*> flags[] = {{f.sse2, "sse2"},
                                                {f.ssse3, "ssse3"},
                                                {f.sse41, "sse4.1"},
                                                {f.sse42, "sse4.2"},
                                                {f.popcnt, "popcnt"},
                                                {f.avx, "avx"},
                                                {f.f16c, "f16c"},
                                                {f.fma, "fma"},
                                                {f.avx2, "avx2"},
                                                {f.avx_vnni, "avx-vnni"},
                                                {f.avx512f, "avx512f"},
                                                {f.avx512dq, "avx512dq"},
                                                {f.avx512cd, "avx512cd"},
                                                {f.avx512bw, "avx512bw"},
                                                {f.avx512vl, "avx512vl"},
                                                {f.avx512_vbmi, "avx512-vbmi"},
                                                {f.avx512_vnni, "avx512-vnni"},
                                                {f.avx512_bf16, "avx512-bf16"},
                                                {f.avx512_vpopcntdq, "avx512-vpopcntdq"},
                                                {f.avx512_bitalg, "avx512-bitalg"},
                                                {f.gfni, "gfni"},
                                                {f.amx_tile, "amx-tile"},
                                                {f.amx_int8, "amx-int8"},
                                                {f.amx_bf16, "amx-bf16"}};
  std::string text;
  for (const auto& [present, name] : flags) {
    if (present) text += (text.empty() ? "" : " ") + std::string(name);
  }
  return text;
}

std::string openblas_core() { return openblas_get_corename(); }

std::string openblas_core_expected(const CpuFeatures& features, std::string_view chosen) {
  // Kernel sets of OpenBLAS 0.3 that use 512-bit and 256-bit fused multiply-add.
  for (std::string_view core : {"SkylakeX", "Cooperlake", "SapphireRapids"}) {
    if (chosen == core) return {};
  }
  if (features.avx512f && features.avx512dq && features.avx512cd && features.avx512bw && features.avx512vl) {
    return "SkylakeX";
  }
  if (!features.avx2 || !features.fma || chosen == "Haswell" || chosen == "Zen") return {};
  return features.vendor == "AuthenticAMD" ? "Zen" : "Haswell";
}

std::string openblas_core_expected() { return openblas_core_expected(cpu(), openblas_core()); }

}  // namespace kronbit
