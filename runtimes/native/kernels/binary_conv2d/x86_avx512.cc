// AVX-512 with VPOPCNTDQ: Ice Lake and Zen 4 onwards.
//
// multiply. A vector is 16 output channels' 32-bit words of one k; the window's word is broadcast into the xor
// (an embedded broadcast: the load ports do it), so nothing is shuffled and nothing is summed across lanes. A tile is
// 6 pixels by 2 panels with two counters each, 24 of the 32 registers; a weight vector is loaded once for 6 pixels.
//
//   instruction       ports (Intel)  ports (Zen 4)   for one triple (3 words, 1536 binary products a vector)
//   vpxord {1to16}    0 5            0 1 2 3 / 2     3
//   vpternlogd        0 5            0 1 2 3 / 2     1
//   vpopcntd          5              0 1 / 2         2
//   vpaddd            0 5            0 1 2 3 / 2     2
//
// So 8 for three words, where xor, popcount and add of each word on its own take 9. A deeper tree of carry-save adders
// saves no more: each adder's majority costs the popcount and the addition that it spares.
//
// Overflow: a counter is a 32-bit lane and counts bits of one window, fewer than 2^24.
// Tail: the last panel's missing channels are 0 in the weights, and masked out of every load and store of the epilogue;
// pixels that do not fill a tile take a tile of their number.

#include <immintrin.h>

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kTilePixels = 6;
constexpr std::size_t kTilePanels = 2;

constexpr __mmask16 first_lanes(std::size_t count) {
  return static_cast<__mmask16>(count >= kLanes ? 0xffffu : (1u << count) - 1);
}

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
  for (std::size_t r = 0; r < kRows; ++r) low[r] = high[r] = _mm512_setzero_pd();
  std::size_t i = 0;
  for (; i + 16 <= length; i += 16) {
    for (std::size_t r = 0; r < kRows; ++r) {
      const float* const at = x + r * length + i;
      low[r] = _mm512_add_pd(low[r], _mm512_cvtps_pd(_mm256_loadu_ps(at)));
      high[r] = _mm512_add_pd(high[r], _mm512_cvtps_pd(_mm256_loadu_ps(at + 8)));
    }
  }
  const __mmask16 rest = first_lanes(length - i);
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

// ---- multiply ----

// `k`, as a value that the compiler knows nothing about. Else it sees that two panels read the same words, keeps them
// broadcast in more registers than there are, and spills the counters: the loop runs at half speed. Read again, the
// words fold into the xor.
inline std::size_t anew(std::size_t k) {
  __asm__ volatile("" : "+r"(k));
  return k;
}

inline __m512i broadcast(const Word* word) { return _mm512_set1_epi32(static_cast<int>(*word)); }

// The majority of d1, d2, d3, from e = d1 ^ d2, s = d1 ^ d2 ^ d3 and d1: e ? ~s : d1.
inline __m512i majority(__m512i e, __m512i s, __m512i d1) { return _mm512_ternarylogic_epi32(e, s, d1, 0x3a); }

// A range of pixels, counted through the samples. No division a pixel: it would cost as much as its epilogue.
struct Cursor {
  const Pixel* pixel;   // the next one
  const Pixel* end;     // behind the last one of a sample
  const Word* windows;  // of the sample

  Cursor(const Product& p, std::size_t index)
      : pixel(p.pixels + index % p.pixels_per_sample),
        end(p.pixels + p.pixels_per_sample),
        windows(p.input + index / p.pixels_per_sample * p.sample_stride) {}

  void advance(const Product& p) {
    if (++pixel == end) {
      pixel = p.pixels;
      windows += p.sample_stride;
    }
  }
};

template <std::size_t kPixels>
struct Tile {
  const Word* window[kPixels];
  const std::int32_t* border_weights[kPixels];
  float inside[kPixels];

  Tile(const Product& p, Cursor& cursor) {
    for (std::size_t i = 0; i < kPixels; ++i) {
      window[i] = cursor.windows + cursor.pixel->input;
      border_weights[i] = p.border_weights + cursor.pixel->border * p.border_stride;
      inside[i] = static_cast<float>(p.inside[cursor.pixel->border]);
      cursor.advance(p);
    }
  }
};

// Counts differing bits of kPixels windows and kPanels panels, and finishes their outputs.
template <std::size_t kPixels, std::size_t kPanels>
inline void multiply_tile(const Product& p, const Tile<kPixels>& tile, std::size_t panel, std::size_t index) {
  const std::size_t run_words = (3 * p.triples + p.singles) * kLanes, panel_words = p.runs * run_words;
  const std::size_t channel = panel * kLanes;
  __mmask16 lanes[kPanels];
  for (std::size_t v = 0; v < kPanels; ++v) lanes[v] = first_lanes(p.channels - channel - v * kLanes);

  __m512i ones[kPixels][kPanels], twos[kPixels][kPanels];
  for (std::size_t i = 0; i < kPixels; ++i) {
    for (std::size_t v = 0; v < kPanels; ++v) {
      ones[i][v] = _mm512_maskz_loadu_epi32(lanes[v], tile.border_weights[i] + channel + v * kLanes);
      twos[i][v] = _mm512_setzero_si512();
    }
  }

  const Word* window[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) window[i] = tile.window[i];
  const Word* w = p.panels + panel * panel_words;
  std::size_t at = 0;
  for (std::size_t run = 0; run < p.runs; ++run, at += p.run_stride) {
    std::size_t k = at;
    for (std::size_t t = 0; t < p.triples; ++t, k += 3, w += 3 * kLanes) {
      for (std::size_t v = 0; v < kPanels; ++v) {
        const std::size_t at_k = anew(k);
        const __m512i a = _mm512_load_si512(w + v * panel_words);
        const __m512i ab = _mm512_load_si512(w + v * panel_words + kLanes);
        const __m512i abc = _mm512_load_si512(w + v * panel_words + 2 * kLanes);
        for (std::size_t i = 0; i < kPixels; ++i) {
          const Word* const x = window[i] + at_k;
          const __m512i d1 = _mm512_xor_si512(a, broadcast(x));
          const __m512i e = _mm512_xor_si512(ab, broadcast(x + 1));
          const __m512i s = _mm512_xor_si512(abc, broadcast(x + 2));
          ones[i][v] = _mm512_add_epi32(ones[i][v], _mm512_popcnt_epi32(s));
          twos[i][v] = _mm512_add_epi32(twos[i][v], _mm512_popcnt_epi32(majority(e, s, d1)));
        }
      }
    }
    for (std::size_t t = 0; t < p.singles; ++t, ++k, w += kLanes) {
      for (std::size_t v = 0; v < kPanels; ++v) {
        const std::size_t at_k = anew(k);
        const __m512i a = _mm512_load_si512(w + v * panel_words);
        for (std::size_t i = 0; i < kPixels; ++i) {
          const __m512i d = _mm512_xor_si512(a, broadcast(window[i] + at_k));
          ones[i][v] = _mm512_add_epi32(ones[i][v], _mm512_popcnt_epi32(d));
        }
      }
    }
  }

  const float* const residual = p.residual + index * p.residual_stride;
  float* const output = p.output + index * p.output_stride;
  const __m512 lower = _mm512_set1_ps(p.lower), upper = _mm512_set1_ps(p.upper), minus_two = _mm512_set1_ps(-2.0f);
  for (std::size_t v = 0; v < kPanels; ++v) {
    const std::size_t o = channel + v * kLanes;
    const __m512 scale = _mm512_maskz_loadu_ps(lanes[v], p.scale + o);
    const __m512 bias = _mm512_maskz_loadu_ps(lanes[v], p.bias + o);
    for (std::size_t i = 0; i < kPixels; ++i) {
      const __m512i different = _mm512_add_epi32(ones[i][v], _mm512_add_epi32(twos[i][v], twos[i][v]));
      // inside - 2 * different is an integer below 2^24, so this fused multiply-add rounds nothing.
      __m512 y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(different), minus_two, _mm512_set1_ps(tile.inside[i]));
      y = _mm512_mul_ps(y, scale);
      y = _mm512_add_ps(y, bias);
      y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes[v], residual + i * p.residual_stride + o));
      // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
      y = _mm512_min_ps(upper, _mm512_max_ps(lower, y));
      _mm512_mask_storeu_ps(output + i * p.output_stride + o, lanes[v], y);
    }
  }
}

// The panels [begin, end) of kPixels pixels.
template <std::size_t kPixels>
void multiply_pixels(const Product& p, Cursor& cursor, std::size_t index, std::size_t begin, std::size_t end) {
  const Tile<kPixels> tile(p, cursor);
  std::size_t panel = begin;
  for (; panel + kTilePanels <= end; panel += kTilePanels) multiply_tile<kPixels, kTilePanels>(p, tile, panel, index);
  if (panel < end) multiply_tile<kPixels, 1>(p, tile, panel, index);
}

// All pixels by the panels [begin, end).
void multiply_panels(const Product& p, std::size_t begin, std::size_t end) {
  Cursor cursor(p, p.pixel_begin);
  std::size_t index = p.pixel_begin;
  for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) {
    multiply_pixels<kTilePixels>(p, cursor, index, begin, end);
  }
  switch (p.pixel_end - index) {
    case 5: return multiply_pixels<5>(p, cursor, index, begin, end);
    case 4: return multiply_pixels<4>(p, cursor, index, begin, end);
    case 3: return multiply_pixels<3>(p, cursor, index, begin, end);
    case 2: return multiply_pixels<2>(p, cursor, index, begin, end);
    case 1: return multiply_pixels<1>(p, cursor, index, begin, end);
    default: return;
  }
}

// Weights stay in the first-level cache while pixels pass: as many panels at once as fit into half of it. Within them,
// a pixel's outputs are written one after the other, and its residuals read so: memory likes that.
void multiply(const Product& p) {
  constexpr std::size_t kWeightBytes = 20 * 1024;
  const std::size_t panel_bytes = p.runs * (3 * p.triples + p.singles) * kLanes * sizeof(Word);
  const std::size_t fitting = kWeightBytes / panel_bytes / kTilePanels * kTilePanels;
  const std::size_t step = fitting == 0 ? kTilePanels : fitting;
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; panel += step) {
    multiply_panels(p, panel, p.panel_end - panel < step ? p.panel_end : panel + step);
  }
}

}  // namespace

extern const Kernel kernel_avx512_vpopcntdq;  // const objects are internal without a declaration
const Kernel kernel_avx512_vpopcntdq = {"avx512_vpopcntdq", kLanes,     /*triples=*/true,
                                        sum_rows,           pack_signs, multiply};

}  // namespace rbnn
