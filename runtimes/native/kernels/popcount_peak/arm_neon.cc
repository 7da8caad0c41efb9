#include <arm_neon.h>

#include <cstdint>

#include "kernels/popcount_peak/kernel.h"

namespace rbnn {

double popcount_peak_neon(std::size_t steps) {
  constexpr int kChains = 8;  // more than a core's pipes times an instruction's latency
  uint8x16_t weights[kChains], sums[kChains], x = vdupq_n_u8(0x5a);
  for (int i = 0; i < kChains; ++i) {
    weights[i] = vdupq_n_u8(static_cast<std::uint8_t>(i * 0x1f));
    sums[i] = vdupq_n_u8(0);
    __asm__ volatile("" : "+w"(weights[i]));
  }
  for (std::size_t step = 0; step < steps; ++step) {
    __asm__ volatile("" : "+w"(x));  // a new value, as far as the compiler knows
    for (int i = 0; i < kChains; ++i) sums[i] = vaddq_u8(sums[i], vcntq_u8(veorq_u8(weights[i], x)));
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : "+w"(sums[i]));
  return static_cast<double>(steps) * kChains * 128;
}

}  // namespace rbnn
