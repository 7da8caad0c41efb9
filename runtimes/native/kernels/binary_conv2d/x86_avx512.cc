// AVX-512 with VPOPCNTDQ, Ice Lake and Zen 4 onwards: all but `multiply`, which is in x86_avx512_multiply.cc.

#include "kernels/binary_conv2d/unroll.h"
#include "kernels/binary_conv2d/x86_avx512.h"

namespace rbnn {
namespace {

using avx512::first_lanes;

constexpr std::size_t kFloatsAhead = 512;  // how far the passes over x prefetch; measured, and 256 to 1024 are alike

// ---- sum_rows ----

// The sum of 8 lanes, halved as the specification says.
inline double halve(__m512d v) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// Rows are interleaved to hide the latency of an addition, 4 cycles: two chains a row, two additions a cycle.
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
      __builtin_prefetch(at + kFloatsAhead);
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

void sum_rows(const float* x, std::size_t rows, std::size_t length, double* sums) {
  std::size_t row = 0;
  for (; row + 4 <= rows; row += 4) sum_interleaved<4>(x + row * length, length, sums + row);
  for (; row < rows; ++row) sum_interleaved<1>(x + row * length, length, sums + row);
}

// ---- pack_signs ----

// An ordered comparison: a NaN compares false, -1.
inline __mmask16 compare(__mmask16 lanes, const float* x, __m512 threshold) {
  return _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, x), threshold, _CMP_GE_OQ);
}

void pack_signs(const float* x, std::size_t count, float threshold, Word* bits) {
  const __m512 limit = _mm512_set1_ps(threshold);
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    __builtin_prefetch(x + i + kFloatsAhead);
    __builtin_prefetch(x + i + kFloatsAhead + 16);
    const __mmask16 low = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), limit, _CMP_GE_OQ);
    const __mmask16 high = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i + 16), limit, _CMP_GE_OQ);
    *bits++ = static_cast<Word>(_mm512_kunpackw(high, low));
  }
  if (i < count) {
    const std::size_t rest = count - i, second = rest > 16 ? rest - 16 : 0;
    const __mmask16 low = compare(first_lanes(rest), x + i, limit);
    const __mmask16 high = second == 0 ? __mmask16{0} : compare(first_lanes(second), x + i + 16, limit);
    *bits = static_cast<Word>(_mm512_kunpackw(high, low));
  }
}

// ---- gather_runs ----

// 15 words of each run at a time, five triples: one load (two where bits do not start at a word), and a triple's
// running xor as one three-way xor of the words with themselves moved up by one and by two lanes.
template <bool kShifted>
inline void gather_chunk(const Runs& r, std::size_t done) {
  constexpr __mmask16 kSecondOrThird = 0x6db6, kThird = 0x4924;  // of each three lanes
  const std::size_t bits = r.run_bits > done * kWordBits ? r.run_bits - done * kWordBits : 0, rest = bits % kWordBits;
  const __mmask16 read = first_lanes(words_for_bits(bits));
  const __mmask16 written = first_lanes(r.run_words - done < 15 ? r.run_words - done : 15);
  const __m512i keep = _mm512_mask_set1_epi32(_mm512_maskz_set1_epi32(first_lanes(bits / kWordBits), -1),
                                              static_cast<__mmask16>(read & ~first_lanes(bits / kWordBits)),
                                              static_cast<int>((1u << rest) - 1));

  Word* output = r.output + done;
  std::size_t position = r.position + done * kWordBits;
  for (std::size_t i = 0; i < r.count; ++i, position += r.step, output += r.output_stride) {
    const Word* const from = r.bits + position / kWordBits;
    __m512i x = _mm512_maskz_loadu_epi32(read, from);
    if (kShifted) {  // a shift by 32 gives 0
      const __m128i shift = _mm_cvtsi64_si128(static_cast<long long>(position % kWordBits));
      const __m128i back = _mm_cvtsi64_si128(static_cast<long long>(kWordBits - position % kWordBits));
      x = _mm512_or_si512(_mm512_srl_epi32(x, shift),
                          _mm512_sll_epi32(_mm512_maskz_loadu_epi32(read, from + 1), back));
    }
    x = _mm512_and_si512(x, keep);
    const __m512i one = _mm512_maskz_alignr_epi32(kSecondOrThird, x, x, 15);
    const __m512i two = _mm512_maskz_alignr_epi32(kThird, x, x, 14);
    _mm512_mask_storeu_epi32(output, written, _mm512_ternarylogic_epi32(x, one, two, 0x96));
  }
}

void gather_runs(const Runs& r) {
  const bool shifted = r.position % kWordBits != 0 || r.step % kWordBits != 0;
  for (std::size_t done = 0; done < r.run_words; done += 15) {
    if (shifted) {
      gather_chunk<true>(r, done);
    } else {
      gather_chunk<false>(r, done);
    }
  }
}

}  // namespace

extern const Kernel kernel_avx512_vpopcntdq;  // const objects are internal without a declaration
const Kernel kernel_avx512_vpopcntdq = {"avx512_vpopcntdq", avx512::kLanes, /*triples=*/true, sum_rows,
                                        pack_signs,         gather_runs,     avx512::multiply};

}  // namespace rbnn
