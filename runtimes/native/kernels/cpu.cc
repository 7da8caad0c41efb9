#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(_WIN32)
#include <windows.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace rbnn {
namespace {

#if defined(__x86_64__)

// Which register files the operating system saves at a context switch. An instruction set whose registers it does
// not save faults, whatever cpuid says.
std::uint64_t enabled_state() {
  std::uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

std::uint32_t detect() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(1, 0, &a, &b, &c, &d)) return 0;
  constexpr unsigned kOsxsave = 1u << 27, kFmaBit = 1u << 12;
  if (!(c & kOsxsave)) return 0;
  const bool fma = c & kFmaBit;

  constexpr std::uint64_t kYmmState = 0x6, kZmmState = 0xe6;  // SSE and AVX; and opmask and both halves of ZMM
  const std::uint64_t state = enabled_state();
  if ((state & kYmmState) != kYmmState || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;

  std::uint32_t features = fma ? std::uint32_t{kFma} : 0u;
  if (b & (1u << 5)) features |= kAvx2;
  if ((state & kZmmState) == kZmmState) {
    if (b & (1u << 16)) features |= kAvx512f;
    if (b & (1u << 30)) features |= kAvx512bw;
    if (b & (1u << 31)) features |= kAvx512vl;
    if (c & (1u << 11)) features |= kAvx512Vnni;
    if (c & (1u << 14)) features |= kAvx512Vpopcntdq;
  }
  return features;
}

#elif defined(__aarch64__)

// NEON is part of the base architecture. Dot products are not, and a program must ask the operating system for them.
#if defined(_WIN32)
bool has_dotprod() { return IsProcessorFeaturePresent(PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE); }
#elif defined(__APPLE__)
bool has_dotprod() {
  int value = 0;
  std::size_t size = sizeof(value);
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) == 0 && value != 0;
}
#else
constexpr unsigned long kHwcapAsimddp = 1ul << 20;  // Linux, arch/arm64: uapi/asm/hwcap.h
bool has_dotprod() { return (getauxval(AT_HWCAP) & kHwcapAsimddp) != 0; }
#endif

std::uint32_t detect() { return kNeon | (has_dotprod() ? kNeonDotprod : 0u); }

#else

std::uint32_t detect() { return 0; }

#endif

}  // namespace

std::uint32_t cpu_features() {
  static const std::uint32_t features = detect();
  return features;
}

std::vector<std::string> cpu_feature_names(std::uint32_t features) {
  static constexpr struct {
    CpuFeature feature;
    const char* name;
  } kNames[] = {
      {kAvx2, "avx2"},
      {kFma, "fma"},
      {kAvx512f, "avx512f"},
      {kAvx512bw, "avx512bw"},
      {kAvx512vl, "avx512vl"},
      {kAvx512Vpopcntdq, "avx512_vpopcntdq"},
      {kAvx512Vnni, "avx512_vnni"},
      {kNeon, "neon"},
      {kNeonDotprod, "neon_dotprod"},
  };
  std::vector<std::string> names;
  for (const auto& entry : kNames) {
    if (features & entry.feature) names.emplace_back(entry.name);
  }
  return names;
}

}  // namespace rbnn
