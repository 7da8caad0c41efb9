// The product with AVX-512 and VPOPCNTDQ.
//
// A vector is 16 output channels' 32-bit words of one k; the window's word is broadcast into the xor
// (an embedded broadcast: the load ports do it), so nothing is shuffled and nothing is summed across lanes. A tile is
// 6 pixels by 2 panels with two counters each, 24 of the 32 registers; a weight vector is loaded once for 6 pixels.
//
//   instruction       ports (Intel)  ports (Zen 4)   for one triple (3 words, 1536 binary products per vector)
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

#include "kernels/binary_conv2d/tile.h"
#include "kernels/binary_conv2d/x86_avx512.h"
#include "kernels/binary_conv2d/x86_avx512_lanes.h"
#include "kernels/unroll.h"

namespace rbnn::avx512 {
namespace {

constexpr std::size_t kTilePixels = 6;
constexpr std::size_t kTilePanels = 2;

// One triple of one pixel and one panel: adds popcount(s) to `ones` and popcount(majority) to `twos`; see kernel.h.
// a, ab, abc are the panel's three words, window[k], window[k + 1], window[k + 2] the window's.
#if defined(RBNN_NO_INLINE_ASSEMBLY)
inline void count_triple(const Word* window, std::size_t k, __m512i a, __m512i ab, __m512i abc, __m512i& ones,
                         __m512i& twos) {
  const Word* const x = window + k;
  const __m512i d1 = _mm512_xor_si512(a, _mm512_set1_epi32(static_cast<int>(x[0])));
  const __m512i e = _mm512_xor_si512(ab, _mm512_set1_epi32(static_cast<int>(x[1])));
  const __m512i s = _mm512_xor_si512(abc, _mm512_set1_epi32(static_cast<int>(x[2])));
  ones = _mm512_add_epi32(ones, _mm512_popcnt_epi32(s));
  twos = _mm512_add_epi32(twos, _mm512_popcnt_epi32(_mm512_ternarylogic_epi32(e, s, d1, 0x3a)));
}
#else
// The same as above, for the sanitizers. As intrinsics, GCC 12 keeps a word that it has broadcast for one
// panel in a register for the next, and copies counters: more registers than there are, and the loop, spilling, ran at
// half this speed. Here the words are broadcast by the xor, and counters stay where they are.
// Addresses are written out, window and k, because GCC would add them up into a register each.
inline void count_triple(const Word* window, std::size_t k, __m512i a, __m512i ab, __m512i abc, __m512i& ones,
                         __m512i& twos) {
  using Words = Word[std::size_t{1} << 30];  // some words at `window`, of which the assembly reads three
  __m512i d1, e, s;
  __asm__(
      "vpxord 8(%[window],%[k],4)%{1to16%}, %[abc], %[s]\n\t"
      "vpxord 4(%[window],%[k],4)%{1to16%}, %[ab], %[e]\n\t"
      "vpxord (%[window],%[k],4)%{1to16%}, %[a], %[d1]\n\t"
      "vpternlogd $0x3a, %[d1], %[s], %[e]\n\t"
      "vpopcntd %[s], %[s]\n\t"
      "vpopcntd %[e], %[e]\n\t"
      "vpaddd %[s], %[ones], %[ones]\n\t"
      "vpaddd %[e], %[twos], %[twos]"
      : [ones] "+v"(ones), [twos] "+v"(twos), [d1] "=&v"(d1), [e] "=&v"(e), [s] "=&v"(s)
      : [a] "v"(a), [ab] "v"(ab), [abc] "v"(abc), [window] "r"(window), [k] "r"(k),
        "m"(*reinterpret_cast<const Words*>(window)));
}
#endif

// Fetches the weights of panels [begin, end), those that come next, into the second-level cache, a cache line with each
// triple of a tile: also those behind panel_end, which are the next task's. A network's weights leave that cache
// between two runs, and third level and memory deliver them more slowly than a first tile uses them up. Many lines at
// once would hold up the loads behind them.
struct WeightsAhead {
  const char* next;
  const char* last;

  WeightsAhead(const Product& p, std::size_t begin, std::size_t end) {
    const std::size_t panel_bytes = p.runs * p.run_words * kLanes * sizeof(Word);
    const std::size_t panels = (p.channels + kLanes - 1) / kLanes, stop = end < panels ? end : panels;
    next = reinterpret_cast<const char*>(p.panels) + begin * panel_bytes;
    last = begin < stop ? next + (stop - begin) * panel_bytes : next;
  }

  void step() {
    __builtin_prefetch(next, 0, 2);
    next = last - next > kCacheLine ? next + kCacheLine : last;
  }

  static constexpr std::ptrdiff_t kCacheLine = 64;
};

// Counts differing bits of kPixels windows and kPanels panels, and finishes their outputs.
template <std::size_t kPixels, std::size_t kPanels, bool kFull, bool kBits>
inline void multiply_tile(const Product& p, const Tile<kPixels>& tile, std::size_t panel, std::size_t index,
                          WeightsAhead& ahead_of_panels) {
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

  // The next tile reads and writes these; the hardware does not foresee it from a few lines per pixel.
  const float* residual = kBits ? nullptr : p.residual + index * p.residual_stride + channel;
  float* output = kBits ? nullptr : p.output + index * p.output_stride + channel;
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels && !kBits; ++i) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      __builtin_prefetch(ahead(residual, (kPixels + i) * p.residual_stride + v * kLanes), 0);
      __builtin_prefetch(ahead(output, (kPixels + i) * p.output_stride + v * kLanes), 1);
    }
  }

  WeightsAhead weights = ahead_of_panels;  // in registers
  const Word* window[kPixels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) window[i] = tile.window[i];
  const Word* w = p.panels + panel * panel_words;
  const Word* const end = w + panel_words;
  // One loop over all runs, not two nested ones: around an inner loop, counters are spilled again.
  for (std::size_t k = 0, run_end = p.run_words; w != end; w += 3 * kLanes) {
    weights.step();
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      const __m512i a = _mm512_load_si512(w + v * panel_words);
      const __m512i ab = _mm512_load_si512(w + v * panel_words + kLanes);
      const __m512i abc = _mm512_load_si512(w + v * panel_words + 2 * kLanes);
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) {
        count_triple(window[i], k, a, ab, abc, ones[i][v], twos[i][v]);
      }
    }
    k += 3;
    if (k == run_end) {
      k += p.run_stride - p.run_words;
      run_end += p.run_stride;
    }
  }

  ahead_of_panels = weights;

  if (kBits) {
    std::uint8_t* bits = p.bits + index * p.bits_stride + channel / 8;
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i, bits += p.bits_stride) {
      RBNN_UNROLL
      for (std::size_t v = 0; v < kPanels; ++v) {
        const __m512i different = _mm512_add_epi32(ones[i][v], _mm512_add_epi32(twos[i][v], twos[i][v]));
        lanes[v].store_bits(bits + v * kLanes / 8, different);
      }
    }
    return;
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
template <bool kBits, std::size_t kPixels>
void multiply_pixels(const Product& p, Cursor& cursor, std::size_t index, std::size_t begin, std::size_t end,
                     WeightsAhead& ahead) {
  const Tile<kPixels> tile(p, cursor);
  std::size_t panel = begin;
  for (; panel + kTilePanels <= end; panel += kTilePanels) {
    const bool full = p.channels >= (panel + kTilePanels) * kLanes;
    if (kPixels == kTilePixels && full) {  // nearly all tiles
      multiply_tile<kPixels, kTilePanels, true, kBits>(p, tile, panel, index, ahead);
    } else {
      multiply_tile<kPixels, kTilePanels, false, kBits>(p, tile, panel, index, ahead);
    }
  }
  if (panel < end) multiply_tile<kPixels, 1, false, kBits>(p, tile, panel, index, ahead);
}

// All pixels by the panels [begin, end).
template <bool kBits>
void multiply_panels(const Product& p, std::size_t begin, std::size_t end) {
  Cursor cursor(p, p.pixel_begin);
  WeightsAhead ahead(p, end, 2 * end - begin);
  std::size_t index = p.pixel_begin;
  for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) {
    multiply_pixels<kBits, kTilePixels>(p, cursor, index, begin, end, ahead);
  }
  switch (p.pixel_end - index) {
    case 5: return multiply_pixels<kBits, 5>(p, cursor, index, begin, end, ahead);
    case 4: return multiply_pixels<kBits, 4>(p, cursor, index, begin, end, ahead);
    case 3: return multiply_pixels<kBits, 3>(p, cursor, index, begin, end, ahead);
    case 2: return multiply_pixels<kBits, 2>(p, cursor, index, begin, end, ahead);
    case 1: return multiply_pixels<kBits, 1>(p, cursor, index, begin, end, ahead);
    default: return;
  }
}

template <bool kBits>
void multiply_any(const Product& p) {
  if (multiply_narrow<kBits>(p)) return;
  const std::size_t step = panels_in_cache(p, kLanes, kTilePanels);
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; panel += step) {
    multiply_panels<kBits>(p, panel, p.panel_end - panel < step ? p.panel_end : panel + step);
  }
}

}  // namespace

void multiply(const Product& p) { multiply_any<false>(p); }
void multiply_bits(const Product& p) { multiply_any<true>(p); }

}  // namespace rbnn::avx512
