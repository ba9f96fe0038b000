// What this processor can do: instruction sets that both the CPU has (CPUID) and the operating system saves (XCR0), and
// the kernels OpenBLAS chose for it.
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
  bool avx512_vbmi = false, avx512_vnni = false, avx512_bf16 = false, avx512_vpopcntdq = false;
  /// AMX counts only after Linux granted the tile registers to this process (requested once, read back).
  bool amx_tile = false, amx_int8 = false, amx_bf16 = false;
};
/// Detected at the first call; thread-safe.
const CpuFeatures& cpu();
/// The flags that are set, for people: "sse2 ssse3 ... avx512f".
std::string cpu_feature_list();

/// The kernel set OpenBLAS runs: "SkylakeX", "Zen", "Prescott".
std::string openblas_core();
/// The value OPENBLAS_CORETYPE should have before the start of the program, because OpenBLAS took this processor for a
/// lesser one (version 0.3.21 takes new Intel processors for one of 2004, new AMD ones for one without AVX-512);
/// empty if its choice is fine.
std::string openblas_core_expected();
/// The same for given features and choice.
std::string openblas_core_expected(const CpuFeatures& features, std::string_view chosen);

}  // namespace kronbit
