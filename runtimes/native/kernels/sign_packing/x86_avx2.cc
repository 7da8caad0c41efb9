// AVX2: eight comparisons per vector; vmovmskps collects their sign bits.

#include <immintrin.h>

#include "kernels/sign_packing/kernel.h"

namespace rbnn {

void pack_signs_avx2(const float* x, std::size_t count, float threshold, Word* bits) {
  const __m256 limit = _mm256_set1_ps(threshold);
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    Word word = 0;
    for (std::size_t part = 0; part < 4; ++part) {  // an ordered comparison: a NaN compares false, -1
      const __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(x + i + 8 * part), limit, _CMP_GE_OQ);
      word |= static_cast<Word>(_mm256_movemask_ps(above)) << (8 * part);
    }
    *bits++ = word;
  }
  if (i < count) {
    Word word = 0;
    for (std::size_t b = 0; i + b < count; ++b) word |= sign_bit(x[i + b], threshold) << b;
    *bits = word;
  }
}

}  // namespace rbnn
