// AVX-512: four rows at a time, each in two vectors of eight float64.

#include "kernels/row_sums/kernel.h"
#include "kernels/unroll.h"
#include "kernels/x86_avx512.h"

namespace rbnn {
namespace {

using avx512::ahead;
using avx512::first_lanes;
using avx512::kFloatsAhead;

// The sum of 8 lanes, halved as the specification says.
inline double halve(__m512d v) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Rows are interleaved to hide the latency of an addition, 4 cycles: two chains per row, two additions per cycle.
// Lanes behind a row's end add +0, which changes nothing: a lane starts at +0 and so is never -0.
template <std::size_t kRows>
inline void sum_interleaved(const float* x, std::size_t length, double* sums) {
  __m512d low[kRows], high[kRows];
  RBNN_UNROLL
  for (std::size_t r = 0; r < kRows; ++r) low[r] = high[r] = _mm512_setzero_pd();
  std::size_t i = 0;
  for (; i + 16 <= length; i += 16) {
    RBNN_UNROLL
    for (std::size_t r = 0; r < kRows; ++r) {
      const float* const at = x + r * length + i;
      __builtin_prefetch(ahead(at, kFloatsAhead));
      low[r] = _mm512_add_pd(low[r], _mm512_cvtps_pd(_mm256_loadu_ps(at)));
      high[r] = _mm512_add_pd(high[r], _mm512_cvtps_pd(_mm256_loadu_ps(at + 8)));
    }
  }
  const __mmask16 rest = first_lanes(length - i);
  RBNN_UNROLL
  for (std::size_t r = 0; r < kRows; ++r) {
    const __m512 tail = _mm512_maskz_loadu_ps(rest, x + r * length + i);
    const __m256 tail_high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(tail), 1));
    low[r] = _mm512_add_pd(low[r], _mm512_cvtps_pd(_mm512_castps512_ps256(tail)));
    high[r] = _mm512_add_pd(high[r], _mm512_cvtps_pd(tail_high));
    sums[r] = halve(_mm512_add_pd(low[r], high[r]));
  }
}

}  // namespace

void row_sums_avx512_vpopcntdq(const float* x, std::size_t rows, std::size_t length, double* sums) {
  std::size_t row = 0;
  for (; row + 4 <= rows; row += 4) sum_interleaved<4>(x + row * length, length, sums + row);
  for (; row < rows; ++row) sum_interleaved<1>(x + row * length, length, sums + row);
}

}  // namespace rbnn
