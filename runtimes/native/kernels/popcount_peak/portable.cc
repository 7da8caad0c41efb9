#include <cstdint>

#include "kernels/popcount_peak/kernel.h"

namespace rbnn {

double popcount_peak_portable(std::size_t steps) {
  std::uint64_t x = 0x5a5a1234, total = 0;
  for (std::size_t step = 0; step < 8 * steps; ++step) {
    __asm__ volatile("" : "+r"(x));  // a new value, as far as the compiler knows
    std::uint64_t v = x ^ step;
    v -= (v >> 1) & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + ((v >> 2) & 0x3333333333333333u);
    total += (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;  // as a kernel does: bytes are widened later
  }
  __asm__ volatile("" : "+r"(total));
  return static_cast<double>(8 * steps) * 64;
}

}  // namespace rbnn
