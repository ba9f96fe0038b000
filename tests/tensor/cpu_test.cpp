#include "tensor/cpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "tests/tensor/message_of.h"

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
  EXPECT_EQ(f.avx512_bitalg, flags.contains("avx512_bitalg"));
  EXPECT_EQ(f.gfni, flags.contains("gfni"));
  EXPECT_TRUE(!f.amx_tile || flags.contains("amx_tile"));  // a filter may refuse what Linux lists
  EXPECT_EQ(cpu_feature_list().find("avx2") != std::string::npos, f.avx2);
}

class IsaLimit : public testing::Test {
 protected:
  void TearDown() override { limit_isa("auto"); }
};

TEST_F(IsaLimit, TakesAwayWhatLiesAbove) {
  const CpuFeatures all = cpu();
  const Isa highest = isa_level();
  for (int i = 0; i < kIsaLevels; ++i) {
    const auto level = static_cast<Isa>(i);
    SCOPED_TRACE(name_of(level));
    if (level > highest) continue;  // refused, below
    limit_isa(name_of(level));
    EXPECT_EQ(isa_level(), level);
    EXPECT_EQ(cpu().model, all.model);
    EXPECT_EQ(cpu().sse2, all.sse2);
    EXPECT_EQ(cpu().popcnt, all.popcnt && level >= Isa::Avx2);
    EXPECT_EQ(cpu().avx2, all.avx2 && level >= Isa::Avx2);
    EXPECT_EQ(cpu().avx512f, all.avx512f && level >= Isa::Avx512);
    EXPECT_EQ(cpu().avx512_vnni, all.avx512_vnni && level >= Isa::Avx512);
    EXPECT_EQ(cpu().avx512_bitalg, all.avx512_bitalg && level >= Isa::Avx512);
    EXPECT_EQ(cpu().gfni, all.gfni && level >= Isa::Avx2);
    EXPECT_EQ(cpu().avx512_bf16, all.avx512_bf16 && level >= Isa::Avx512Bf16);
    EXPECT_EQ(cpu().amx_tile, all.amx_tile && level >= Isa::Amx);
    EXPECT_EQ(cpu_feature_list().find("avx512f") != std::string::npos, cpu().avx512f);
  }
  limit_isa("auto");
  EXPECT_EQ(isa_level(), highest);
  EXPECT_EQ(cpu().avx512f, all.avx512f);
}

TEST_F(IsaLimit, RefusesLevelsThisMachineLacks) {
  const Isa highest = isa_level();
  if (highest == Isa::Amx) GTEST_SKIP() << "this machine has every level";
  limit_isa("baseline");  // what the machine has counts, not what is in use
  for (int i = static_cast<int>(highest) + 1; i < kIsaLevels; ++i) {
    const char* name = name_of(static_cast<Isa>(i));
    EXPECT_THAT(message_of([&] { limit_isa(name); }),
                testing::HasSubstr(std::string("level ") + name + ": wanted one this processor has"));
  }
  EXPECT_EQ(isa_level(), Isa::Baseline);
  limit_isa(name_of(highest));
  EXPECT_EQ(isa_level(), highest);
}

TEST_F(IsaLimit, RefusesUnknownNames) {
  for (const char* name : {"", "avx", "AVX2", "avx1024", "amx "}) {
    EXPECT_THAT(message_of([&] { limit_isa(name); }),
                testing::StartsWith("[isa] level: wanted one of auto, baseline, avx2, avx512, avx512bf16, amx"))
        << name;
  }
}

TEST(Cpu, KnowsWhereBf16IsFast) {
  CpuFeatures f;
  f.vendor = "AuthenticAMD";
  EXPECT_FALSE(native_bf16(f));
  f.avx512_bf16 = true;
  EXPECT_TRUE(native_bf16(f));
  f.vendor = "GenuineIntel";
  EXPECT_FALSE(native_bf16(f));
  f.amx_bf16 = true;
  EXPECT_TRUE(native_bf16(f));
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
