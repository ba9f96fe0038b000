#include "tensor/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace kronbit {
namespace {

/// The flags of the first processor in /proc/cpuinfo: Linux lists what it has switched on.
std::set<std::string> linux_flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

TEST(Cpu, AgreesWithLinux) {
  const std::set<std::string> flags = linux_flags();
  if (flags.empty()) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  const CpuFeatures& f = cpu();
  EXPECT_EQ(f.sse2, flags.contains("sse2"));
  EXPECT_EQ(f.ssse3, flags.contains("ssse3"));
  EXPECT_EQ(f.sse41, flags.contains("sse4_1"));
  EXPECT_EQ(f.sse42, flags.contains("sse4_2"));
  EXPECT_EQ(f.popcnt, flags.contains("popcnt"));
  EXPECT_EQ(f.avx, flags.contains("avx"));
  EXPECT_EQ(f.f16c, flags.contains("f16c"));
  EXPECT_EQ(f.fma, flags.contains("fma"));
  EXPECT_EQ(f.avx2, flags.contains("avx2"));
  EXPECT_EQ(f.avx_vnni, flags.contains("avx_vnni"));
  EXPECT_EQ(f.avx512f, flags.contains("avx512f"));
  EXPECT_EQ(f.avx512dq, flags.contains("avx512dq"));
  EXPECT_EQ(f.avx512cd, flags.contains("avx512cd"));
  EXPECT_EQ(f.avx512bw, flags.contains("avx512bw"));
  EXPECT_EQ(f.avx512vl, flags.contains("avx512vl"));
  EXPECT_EQ(f.avx512_vbmi, flags.contains("avx512vbmi"));
  EXPECT_EQ(f.avx512_vnni, flags.contains("avx512_vnni"));
  EXPECT_EQ(f.avx512_bf16, flags.contains("avx512_bf16"));
  EXPECT_EQ(f.avx512_vpopcntdq, flags.contains("avx512_vpopcntdq"));
  EXPECT_TRUE(!f.amx_tile || flags.contains("amx_tile"));  // a filter may refuse what Linux lists
  EXPECT_EQ(cpu_feature_list().find("avx2") != std::string::npos, f.avx2);
}

TEST(Cpu, HasNames) {
  EXPECT_EQ(cpu().vendor.size(), 12u);
  EXPECT_FALSE(cpu().model.empty());
  EXPECT_NE(openblas_core(), "");
}

TEST(Cpu, ExpectsTheBestOpenblasKernels) {
  CpuFeatures old, haswell, zen, skylake;
  haswell.vendor = "GenuineIntel";
  haswell.avx2 = haswell.fma = true;
  zen = haswell;
  zen.vendor = "AuthenticAMD";
  skylake = haswell;
  skylake.avx512f = skylake.avx512dq = skylake.avx512cd = skylake.avx512bw = skylake.avx512vl = true;
  EXPECT_EQ(openblas_core_expected(old, "Prescott"), "");
  EXPECT_EQ(openblas_core_expected(haswell, "Prescott"), "Haswell");
  EXPECT_EQ(openblas_core_expected(haswell, "Haswell"), "");
  EXPECT_EQ(openblas_core_expected(zen, "Prescott"), "Zen");
  EXPECT_EQ(openblas_core_expected(zen, "Haswell"), "");
  EXPECT_EQ(openblas_core_expected(skylake, "Prescott"), "SkylakeX");
  EXPECT_EQ(openblas_core_expected(skylake, "Haswell"), "SkylakeX");
  EXPECT_EQ(openblas_core_expected(skylake, "SkylakeX"), "");
  EXPECT_EQ(openblas_core_expected(skylake, "Cooperlake"), "");
}

}  // namespace
}  // namespace kronbit
