// What this processor can do: instruction sets that both the CPU has (CPUID) and the operating system saves (XCR0), a
// limit on those in use, and the kernels OpenBLAS chose.
#pragma once

#include <string>
#include <string_view>

namespace kronbit {

/// A flag is true only when the instructions may be executed here and now.
struct CpuFeatures {
  std::string vendor;  ///< "AuthenticAMD", "GenuineIntel"
  std::string model;   ///< "AMD EPYC 9645 96-Core Processor"
  bool sse2 = false, ssse3 = false, sse41 = false, sse42 = false, popcnt = false;
  bool avx = false, f16c = false, fma = false, avx2 = false, avx_vnni = false;
  bool avx512f = false, avx512dq = false, avx512cd = false, avx512bw = false, avx512vl = false;
  bool avx512_vbmi = false, avx512_vnni = false, avx512_bf16 = false, avx512_vpopcntdq = false, avx512_bitalg = false;
  bool gfni = false;  ///< as SSE instructions; its 512-bit forms need avx512f as well
  /// AMX counts only after Linux granted the tile registers to this process (requested once, read back).
  bool amx_tile = false, amx_int8 = false, amx_bf16 = false;
};
/// Detected at the first call, without what limit_isa() took away; thread-safe.
const CpuFeatures& cpu();
/// The flags that are set, for people: "sse2 ssse3 ... avx512f".
std::string cpu_feature_list();

/// Levels of instruction sets, each with all below it: x86-64 alone; AVX2 with FMA; AVX-512; its bf16 products; AMX.
enum class Isa { Baseline, Avx2, Avx512, Avx512Bf16, Amx };
inline constexpr int kIsaLevels = 5;
const char* name_of(Isa level);  ///< "baseline", "avx2", "avx512", "avx512bf16", "amx"
/// The highest level in use. Choices made from cpu() may be kept for each level.
Isa isa_level();
/// Takes away from cpu() what lies above a level; "auto" gives it back. Kernels chosen afterwards respect it, OpenBLAS
/// (which has OPENBLAS_CORETYPE) does not. Call it before other threads run.
/// Throws: InputError if the name is unknown or this machine lacks the level.
void limit_isa(std::string_view name);

/// Products of bf16 numbers run faster than those of f32: with AMX, and with AVX512-BF16 unless the processor is
/// Intel's, where those instructions take longer than the f32 multiply-adds they replace.
bool native_bf16();
bool native_bf16(const CpuFeatures& features);

/// The kernel set OpenBLAS runs: "SkylakeX", "Zen", "Prescott".
std::string openblas_core();
/// The value OPENBLAS_CORETYPE should have before the start of the program, because OpenBLAS took this processor for a
/// lesser one (version 0.3.21 takes new Intel processors for one of 2004, new AMD ones for one without AVX-512);
/// empty if its choice is fine.
std::string openblas_core_expected();
/// The same for given features and choice.
std::string openblas_core_expected(const CpuFeatures& features, std::string_view chosen);

}  // namespace kronbit
