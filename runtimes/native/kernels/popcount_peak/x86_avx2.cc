#include <immintrin.h>

#include "kernels/popcount_peak/kernel.h"

namespace rbnn {

double popcount_peak_avx2(std::size_t steps) {
  constexpr int kChains = 4;
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i half = _mm256_set1_epi8(0x0f);
  __m256i weights[kChains], sums[kChains], x = _mm256_set1_epi32(0x5a5a1234);
  for (int i = 0; i < kChains; ++i) {
    weights[i] = _mm256_set1_epi32(i * 0x01234567);
    sums[i] = _mm256_setzero_si256();
    __asm__ volatile("" : "+x"(weights[i]));
  }
  for (std::size_t step = 0; step < 2 * steps; ++step) {
    __asm__ volatile("" : "+x"(x));  // a new value, as far as the compiler knows
    for (int i = 0; i < kChains; ++i) {
      const __m256i d = _mm256_xor_si256(weights[i], x);
      const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(d, half));
      const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi32(d, 4), half));
      sums[i] = _mm256_add_epi8(_mm256_add_epi8(sums[i], low), high);
    }
  }
  for (int i = 0; i < kChains; ++i) __asm__ volatile("" : "+x"(sums[i]));
  return static_cast<double>(2 * steps) * kChains * 256;
}

}  // namespace rbnn
