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
#include "kernels/binary_conv2d/tile.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kTilePixels = 6;
constexpr std::size_t kTilePanels = 2;
constexpr std::size_t kFloatsAhead = 512;  // how far the passes over x prefetch; measured, and 256 to 1024 are alike

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

// ---- multiply ----

// One triple of one pixel and one panel: adds popcount(s) to `ones` and popcount(majority) to `twos`; see kernel.h.
// a, ab, abc are the panel's three words, x the window's.
#if defined(RBNN_NO_INLINE_ASSEMBLY)
inline void count_triple(const Word* x, __m512i a, __m512i ab, __m512i abc, __m512i& ones, __m512i& twos) {
  const __m512i d1 = _mm512_xor_si512(a, _mm512_set1_epi32(static_cast<int>(x[0])));
  const __m512i e = _mm512_xor_si512(ab, _mm512_set1_epi32(static_cast<int>(x[1])));
  const __m512i s = _mm512_xor_si512(abc, _mm512_set1_epi32(static_cast<int>(x[2])));
  ones = _mm512_add_epi32(ones, _mm512_popcnt_epi32(s));
  twos = _mm512_add_epi32(twos, _mm512_popcnt_epi32(_mm512_ternarylogic_epi32(e, s, d1, 0x3a)));
}
#else
// The same as above, which is what the sanitizers see. As intrinsics, GCC 12 keeps a word that it has broadcast for one
// panel in a register for the next, and copies counters: more registers than there are, and the loop, spilling, ran at
// half this speed. Here the words are broadcast by the xor, and counters stay where they are.
inline void count_triple(const Word* x, __m512i a, __m512i ab, __m512i abc, __m512i& ones, __m512i& twos) {
  __m512i d1, e, s;
  __asm__(
      "vpxord %[x2]%{1to16%}, %[abc], %[s]\n\t"
      "vpxord %[x1]%{1to16%}, %[ab], %[e]\n\t"
      "vpxord %[x0]%{1to16%}, %[a], %[d1]\n\t"
      "vpternlogd $0x3a, %[d1], %[s], %[e]\n\t"
      "vpopcntd %[s], %[s]\n\t"
      "vpopcntd %[e], %[e]\n\t"
      "vpaddd %[s], %[ones], %[ones]\n\t"
      "vpaddd %[e], %[twos], %[twos]"
      : [ones] "+v"(ones), [twos] "+v"(twos), [d1] "=&v"(d1), [e] "=&v"(e), [s] "=&v"(s)
      : [a] "v"(a), [ab] "v"(ab), [abc] "v"(abc), [x0] "m"(x[0]), [x1] "m"(x[1]), [x2] "m"(x[2]));
}
#endif

// Loads and stores of one panel's channels; a panel that is not full is masked.
template <bool kFull>
struct Lanes {
  __mmask16 mask;

  __m512i load(const std::int32_t* x) const {
    return kFull ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi32(mask, x);
  }
  __m512 load(const float* x) const { return kFull ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(mask, x); }
  void store(float* y, __m512 value) const {
    if (kFull) {
      _mm512_storeu_ps(y, value);
    } else {
      _mm512_mask_storeu_ps(y, mask, value);
    }
  }
};

// Counts differing bits of kPixels windows and kPanels panels, and finishes their outputs.
template <std::size_t kPixels, std::size_t kPanels, bool kFull>
inline void multiply_tile(const Product& p, const Tile<kPixels>& tile, std::size_t panel, std::size_t index) {
  const std::size_t panel_words = p.runs * p.run_words * kLanes;
  const std::size_t channel = panel * kLanes;
  Lanes<kFull> lanes[kPanels];
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) lanes[v].mask = first_lanes(p.channels - channel - v * kLanes);

  __m512i ones[kPixels][kPanels], twos[kPixels][kPanels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    const std::int32_t* const border_weights = tile.border_weights[i] + channel;
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      ones[i][v] = lanes[v].load(border_weights + v * kLanes);
      twos[i][v] = _mm512_setzero_si512();
      __asm__("" : "+v"(twos[i][v]));  // a zero of its own; GCC copies counters that start as one and the same value
    }
  }

  // What the next tile will read and write, which the hardware does not foresee from a few lines a pixel.
  const float* residual = p.residual + index * p.residual_stride + channel;
  float* output = p.output + index * p.output_stride + channel;
  const float* next_residual = residual + kPixels * p.residual_stride;
  const float* next_output = output + kPixels * p.output_stride;
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      __builtin_prefetch(next_residual + v * kLanes, 0);
      __builtin_prefetch(next_output + v * kLanes, 1);
    }
    next_residual += p.residual_stride;
    next_output += p.output_stride;
  }

  const Word* window[kPixels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) window[i] = tile.window[i];
  const Word* w = p.panels + panel * panel_words;
  const Word* const end = w + panel_words;
  // One loop over all runs, not two nested ones: around an inner loop, counters are spilled again.
  for (std::size_t k = 0, run_end = p.run_words; w != end; w += 3 * kLanes) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      const __m512i a = _mm512_load_si512(w + v * panel_words);
      const __m512i ab = _mm512_load_si512(w + v * panel_words + kLanes);
      const __m512i abc = _mm512_load_si512(w + v * panel_words + 2 * kLanes);
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) count_triple(window[i] + k, a, ab, abc, ones[i][v], twos[i][v]);
    }
    k += 3;
    if (k == run_end) {
      k += p.run_stride - p.run_words;
      run_end += p.run_stride;
    }
  }

  const __m512 lower = _mm512_set1_ps(p.lower), upper = _mm512_set1_ps(p.upper), minus_two = _mm512_set1_ps(-2.0f);
  __m512 scale[kPanels], bias[kPanels];
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) {
    scale[v] = lanes[v].load(p.scale + channel + v * kLanes);
    bias[v] = lanes[v].load(p.bias + channel + v * kLanes);
  }
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    const __m512 inside = _mm512_set1_ps(tile.inside[i]);
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      const __m512i different = _mm512_add_epi32(ones[i][v], _mm512_add_epi32(twos[i][v], twos[i][v]));
      // inside - 2 * different is an integer below 2^24, so this fused multiply-add rounds nothing.
      __m512 y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(different), minus_two, inside);
      y = _mm512_mul_ps(y, scale[v]);
      y = _mm512_add_ps(y, bias[v]);
      y = _mm512_add_ps(y, lanes[v].load(residual + v * kLanes));
      // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
      y = _mm512_min_ps(upper, _mm512_max_ps(lower, y));
      lanes[v].store(output + v * kLanes, y);
    }
    residual += p.residual_stride;
    output += p.output_stride;
  }
}

// The panels [begin, end) of kPixels pixels.
template <std::size_t kPixels>
void multiply_pixels(const Product& p, Cursor& cursor, std::size_t index, std::size_t begin, std::size_t end) {
  const Tile<kPixels> tile(p, cursor);
  std::size_t panel = begin;
  for (; panel + kTilePanels <= end; panel += kTilePanels) {
    const bool full = p.channels >= (panel + kTilePanels) * kLanes;
    if (kPixels == kTilePixels && full) {  // what nearly all tiles are
      multiply_tile<kPixels, kTilePanels, true>(p, tile, panel, index);
    } else {
      multiply_tile<kPixels, kTilePanels, false>(p, tile, panel, index);
    }
  }
  if (panel < end) multiply_tile<kPixels, 1, false>(p, tile, panel, index);
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

void multiply(const Product& p) {
  const std::size_t step = panels_in_cache(p, kLanes, kTilePanels);
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; panel += step) {
    multiply_panels(p, panel, p.panel_end - panel < step ? p.panel_end : panel + step);
  }
}

}  // namespace

extern const Kernel kernel_avx512_vpopcntdq;  // const objects are internal without a declaration
const Kernel kernel_avx512_vpopcntdq = {"avx512_vpopcntdq", kLanes,      /*triples=*/true, sum_rows,
                                        pack_signs,         gather_runs, multiply};

}  // namespace rbnn
