// AVX2: Haswell and Zen onwards. There is no popcount of a vector, so bits are counted by looking up each half byte in
// a table in a register (vpshufb), which gives counts in bytes.
//
// multiply. A vector is 8 output channels' 32-bit words of one k, the window's word is broadcast by a load. A tile is
// 4 pixels by 1 panel. For the bits of a triple, s counts once and the majority twice: the second table holds doubled
// counts, so one byte counter serves both.
//
//   for one triple (3 words): 3 xor, 3 for the majority, and for s and the majority each 3 (and, shift, and),
//   2 vpshufb and 2 vpaddb: 20, where three words on their own take 24.
//
// Overflow: a byte counter takes 8 + 16 from a triple, so 10 triples, 240, fit before it is widened. A 32-bit lane counts bits of one window, fewer than 2^24.
// Tail: the last panel's missing channels are 0 in the weights, and its epilogue loads and stores under a mask.

#include <immintrin.h>

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kTilePixels = 4;
constexpr std::size_t kWordsPerWidening = 30;

// ---- sum_rows ----

// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15 of one row.
struct Sixteen {
  __m256d part[4];
};

inline void add(Sixteen& sum, const float* x) {
  for (int i = 0; i < 4; ++i) sum.part[i] = _mm256_add_pd(sum.part[i], _mm256_cvtps_pd(_mm_loadu_ps(x + 4 * i)));
}

// The sum of 16 lanes, halved as the specification says.
inline double halve(const Sixteen& sum) {
  const __m256d four =
      _mm256_add_pd(_mm256_add_pd(sum.part[0], sum.part[2]), _mm256_add_pd(sum.part[1], sum.part[3]));
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

void sum_rows(const float* x, std::size_t rows, std::size_t length, double* sums) {
  std::size_t row = 0;
  for (; row + 2 <= rows; row += 2) sum_interleaved<2>(x + row * length, length, sums + row);
  for (; row < rows; ++row) sum_interleaved<1>(x + row * length, length, sums + row);
}

// ---- pack_signs ----

void pack_signs(const float* x, std::size_t count, float threshold, Word* bits) {
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

// ---- multiply ----

struct Tables {
  __m256i once, twice, half;

  Tables()
      : once(_mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                              0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4)),
        twice(_mm256_add_epi8(once, once)),
        half(_mm256_set1_epi8(0x0f)) {}
};

// `bytes` plus the popcount of each byte of `v`, as `table` weighs it.
inline __m256i count(__m256i bytes, __m256i v, __m256i table, __m256i half) {
  const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, half));
  const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi32(v, 4), half));
  return _mm256_add_epi8(_mm256_add_epi8(bytes, low), high);
}

// `total` plus the four bytes of each lane. vpmaddubsw takes the counts, up to 240, as unsigned.
inline __m256i widen(__m256i total, __m256i bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  return _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

inline __m256i broadcast(const Word* word) { return _mm256_set1_epi32(static_cast<int>(*word)); }
inline __m256i load(const Word* words) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(words)); }

inline __m256i first_lanes(std::size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// different[i] += the popcount of window i ^ panel.
template <std::size_t kPixels>
inline void count_windows(const Product& p, const Word* const* window, const Word* w, __m256i* different) {
  const Tables tables;
  for (std::size_t run = 0, at = 0; run < p.runs; ++run, at += p.run_stride) {
    std::size_t k = at;
    for (std::size_t done = 0; done < p.run_words; done += kWordsPerWidening) {
      __m256i bytes[kPixels];
      for (__m256i& b : bytes) b = _mm256_setzero_si256();
      const std::size_t end = at + smaller(done + kWordsPerWidening, p.run_words);
      for (; k < end; k += 3, w += 3 * kLanes) {
        for (std::size_t i = 0; i < kPixels; ++i) {
          const Word* const x = window[i] + k;
          const __m256i d1 = _mm256_xor_si256(load(w), broadcast(x));
          const __m256i e = _mm256_xor_si256(load(w + kLanes), broadcast(x + 1));
          const __m256i s = _mm256_xor_si256(load(w + 2 * kLanes), broadcast(x + 2));
          const __m256i majority = _mm256_or_si256(_mm256_andnot_si256(s, e), _mm256_andnot_si256(e, d1));
          bytes[i] = count(bytes[i], s, tables.once, tables.half);
          bytes[i] = count(bytes[i], majority, tables.twice, tables.half);
        }
      }
      for (std::size_t i = 0; i < kPixels; ++i) different[i] = widen(different[i], bytes[i]);
    }
  }
}

template <std::size_t kPixels>
void multiply_tile(const Product& p, std::size_t panel, std::size_t index) {
  const std::size_t channel = panel * kLanes, panel_words = p.runs * p.run_words * kLanes;
  const bool full = p.channels - channel >= kLanes;
  const __m256i lanes = first_lanes(full ? kLanes : p.channels - channel);
  const Word* window[kPixels];
  __m256i different[kPixels];
  __m256i inside[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) {
    const std::size_t sample = (index + i) / p.pixels_per_sample;
    const Pixel pixel = p.pixels[index + i - sample * p.pixels_per_sample];
    window[i] = p.input + sample * p.sample_stride + pixel.input;
    different[i] = _mm256_maskload_epi32(p.border_weights + pixel.border * p.border_stride + channel, lanes);
    inside[i] = _mm256_set1_epi32(p.inside[pixel.border]);
  }
  count_windows<kPixels>(p, window, p.panels + panel * panel_words, different);

  const __m256 lower = _mm256_set1_ps(p.lower), upper = _mm256_set1_ps(p.upper);
  const __m256 scale = _mm256_maskload_ps(p.scale + channel, lanes);
  const __m256 bias = _mm256_maskload_ps(p.bias + channel, lanes);
  for (std::size_t i = 0; i < kPixels; ++i) {
    const float* const residual = p.residual + (index + i) * p.residual_stride + channel;
    float* const output = p.output + (index + i) * p.output_stride + channel;
    const __m256i acc = _mm256_sub_epi32(inside[i], _mm256_slli_epi32(different[i], 1));
    __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale);
    y = _mm256_add_ps(y, bias);
    y = _mm256_add_ps(y, full ? _mm256_loadu_ps(residual) : _mm256_maskload_ps(residual, lanes));
    // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
    y = _mm256_min_ps(upper, _mm256_max_ps(lower, y));
    if (full) {
      _mm256_storeu_ps(output, y);
    } else {
      _mm256_maskstore_ps(output, lanes, y);
    }
  }
}

void multiply(const Product& p) {
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; ++panel) {
    std::size_t index = p.pixel_begin;
    for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) multiply_tile<kTilePixels>(p, panel, index);
    for (; index < p.pixel_end; ++index) multiply_tile<1>(p, panel, index);
  }
}

}  // namespace

extern const Kernel kernel_avx2;  // const objects are internal without a declaration
const Kernel kernel_avx2 = {"avx2", kLanes, /*triples=*/true, sum_rows, pack_signs, gather_runs_portable,
                            multiply};

}  // namespace rbnn
