// The instructions that the processor, and the operating system on it, can execute.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rbnn {

enum CpuFeature : std::uint32_t {
  kAvx2 = 1u << 0,
  kFma = 1u << 1,
  kAvx512f = 1u << 2,
  kAvx512bw = 1u << 3,
  kAvx512vl = 1u << 4,
  kAvx512Vpopcntdq = 1u << 5,
  kNeon = 1u << 6,
  kAvx512Vnni = 1u << 7,
  kNeonDotprod = 1u << 8,
};

// The features of this machine, as a union of CpuFeature bits; detected once.
std::uint32_t cpu_features();

// Names of the features in `features`, for people.
std::vector<std::string> cpu_feature_names(std::uint32_t features);

}  // namespace rbnn
