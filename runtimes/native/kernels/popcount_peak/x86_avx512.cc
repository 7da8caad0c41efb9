#include <immintrin.h>

#include "kernels/popcount_peak/kernel.h"

namespace rbnn {

double popcount_peak_avx512_vpopcntdq(std::size_t steps) {
  constexpr int kChains = 8;
  __m512i weights[kChains], sums[kChains], x = _mm512_set1_epi32(0x5a5a1234);
  for (int i = 0; i < kChains; ++i) {
    weights[i] = _mm512_set1_epi32(i * 0x01234567);
    sums[i] = _mm512_setzero_si512();
    __asm__ volatile("" : "+v"(weights[i]));
  }
  for (std::size_t step = 0; step < steps; ++step) {
    __asm__ volatile("" : "+v"(x));  // a new value, as far as the compiler knows
    for (int i = 0; i < kChains; ++i) {
      sums[i] = _mm512_add_epi64(sums[i], _mm512_popcnt_epi64(_mm512_xor_si512(weights[i], x)));
    }
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : "+v"(sums[i]));
  return static_cast<double>(steps) * kChains * 512;
}

}  // namespace rbnn
