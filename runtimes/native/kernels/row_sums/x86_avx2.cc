// AVX2: two rows at a time, each in four vectors of four float64.

#include <immintrin.h>

#include "kernels/row_sums/kernel.h"

namespace rbnn {
namespace {

// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15 of one row.
struct Sixteen {
  __m256d part[4];
};

inline void add(Sixteen& sum, const float* x) {
  for (int i = 0; i < 4; ++i) sum.part[i] = _mm256_add_pd(sum.part[i], _mm256_cvtps_pd(_mm_loadu_ps(x + 4 * i)));
}

// The sum of 16 lanes, halved as the specification says.
inline double halve(const Sixteen& sum) {
  const __m256d four = _mm256_add_pd(_mm256_add_pd(sum.part[0], sum.part[2]), _mm256_add_pd(sum.part[1], sum.part[3]));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Rows are interleaved to hide the latency of an addition, 4 cycles. Lanes behind a row's end add +0, which changes
// nothing: a lane starts at +0 and so is never -0.
template <std::size_t kRows>
inline void sum_interleaved(const float* x, std::size_t length, double* sums) {
  Sixteen lanes[kRows];
  for (Sixteen& row : lanes) {
    for (__m256d& part : row.part) part = _mm256_setzero_pd();
  }
  std::size_t i = 0;
  for (; i + 16 <= length; i += 16) {
    for (std::size_t r = 0; r < kRows; ++r) add(lanes[r], x + r * length + i);
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    alignas(32) float rest[16] = {};
    for (std::size_t j = i; j < length; ++j) rest[j - i] = x[r * length + j];
    add(lanes[r], rest);
    sums[r] = halve(lanes[r]);
  }
}

}  // namespace

void row_sums_avx2(const float* x, std::size_t rows, std::size_t length, double* sums) {
  std::size_t row = 0;
  for (; row + 2 <= rows; row += 2) sum_interleaved<2>(x + row * length, length, sums + row);
  for (; row < rows; ++row) sum_interleaved<1>(x + row * length, length, sums + row);
}

}  // namespace rbnn
