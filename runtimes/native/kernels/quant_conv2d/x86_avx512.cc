// AVX-512 with VNNI.
//
// A vector is 16 output channels; vpdpbusd adds, to each channel's sum, four products of unsigned activations, one word
// broadcast by the load ports, and four weights. A tile is 12 pixels by 2 panels, or 6 by 4: 24 of the 32 registers are
// sums, which hide the instruction's latency, and a tile loads fewer vectors than it multiplies.
//
// Overflow: sums wrap modulo 2^32 (vpdpbusd, unlike vpdpbusds, does not saturate), and what is wanted fits.
// Tail: the last panel's missing channels are 0 in the weights, and masked out where channels are loaded or stored.

#include <utility>

#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"
#include "kernels/unroll.h"
#include "kernels/x86_avx512.h"

namespace rbnn {
namespace {

using avx512::first_lanes;
using avx512::kLanes;

// The stored integers of 16 activations.
inline __m512i stored_integers(const Quantisation& q, __m512 x) {
  // vmaxps and vminps return their second operand where one is a NaN: low.
  const __m512 v = _mm512_max_ps(_mm512_mul_ps(x, _mm512_set1_ps(q.factor)), _mm512_set1_ps(q.low));
  const __m512i a = _mm512_cvtps_epi32(_mm512_min_ps(v, _mm512_set1_ps(q.high)));
  return _mm512_sub_epi32(a, _mm512_set1_epi32(q.offset));
}

void quantise(const Quantisation& q, const float* x, std::size_t count, void* stored) {
  auto* const to = static_cast<std::uint8_t*>(stored);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm512_cvtepi32_epi8(stored_integers(q, _mm512_loadu_ps(x + i))));
  }
  const __mmask16 left = first_lanes(count - i);
  _mm512_mask_cvtepi32_storeu_epi8(to + i, left, stored_integers(q, _mm512_maskz_loadu_ps(left, x + i)));
}

// Three planes: sixteen pixels are words of three bytes and a zero, and 12 words without the zeros.
void quantise_planes(const Quantisation& q, const Planes& p, void* stored) {
  if (p.channels != 3 || p.step != 1) return quantise_each_plane<std::uint8_t>(q, p, stored);
  const __m512i close = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const __m512i order = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15);
  auto* to = static_cast<std::uint8_t*>(stored);
  for (std::size_t i = 0; i < p.count; i += kLanes, to += 3 * kLanes) {
    const std::size_t left = p.count - i;
    const __mmask16 lanes = first_lanes(left);
    const float* const x = p.x + i;
    const __m512i a = stored_integers(q, _mm512_maskz_loadu_ps(lanes, x));
    const __m512i b = stored_integers(q, _mm512_maskz_loadu_ps(lanes, x + p.plane));
    const __m512i c = stored_integers(q, _mm512_maskz_loadu_ps(lanes, x + 2 * p.plane));
    const __m512i words = _mm512_or_si512(_mm512_or_si512(a, _mm512_slli_epi32(b, 8)), _mm512_slli_epi32(c, 16));
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_shuffle_epi8(words, close));
    const std::size_t count = 3 * (left < kLanes ? left : kLanes);
    _mm512_mask_storeu_epi8(to, (__mmask64{1} << count) - 1, bytes);
  }
}

// The words of up to 12 windows that begin `step` bytes after each other: pixel i's is at rows[i / 5] + i % 5 * step.
// Three pointers and two distances: x86 adds up an address of a base and an index times 1, 2, 4 or 8.
struct Windows {
  const std::uint8_t* rows[3];
  std::size_t step, step_3;

  Windows(const std::uint8_t* x, std::size_t the_step)
      : rows{x, x + 5 * the_step, x + 10 * the_step}, step(the_step), step_3(3 * the_step) {}
};

// Adds the products of pixel kPixel's word and kPanels panels' weights to their sums.
#if defined(RBNN_NO_INLINE_ASSEMBLY)
template <std::size_t kPixel, std::size_t kPanels>
inline void add_products(const Windows& x, const __m512i* w, __m512i* acc) {
  std::int32_t word;
  std::memcpy(&word, x.rows[kPixel / 5] + kPixel % 5 * x.step, sizeof(word));
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) acc[v] = _mm512_dpbusd_epi32(acc[v], _mm512_set1_epi32(word), w[v]);
}
#else
// The same as above, for the sanitizers. As intrinsics, GCC 12 keeps sums of a tile in memory and copies them, and the
// loop ran at a third of this speed. An embedded broadcast would be the signed factor, which are the weights.
template <std::size_t kPixel, std::size_t kPanels>
inline void add_products(const Windows& windows, const __m512i* w, __m512i* acc) {
  using Bytes = std::uint8_t[std::size_t{1} << 30];  // some bytes at the window, of which the assembly reads four
  const std::uint8_t* const row = windows.rows[kPixel / 5];
  const auto& bytes = *reinterpret_cast<const Bytes*>(row);
  constexpr std::size_t kPlace = kPixel % 5;
  __m512i x;
  if constexpr (kPlace == 0) {
    __asm__("vpbroadcastd (%[row]), %[x]" : [x] "=v"(x) : [row] "r"(row), "m"(bytes));
  } else if constexpr (kPlace == 3) {
    __asm__("vpbroadcastd (%[row],%[step]), %[x]"
            : [x] "=v"(x)
            : [row] "r"(row), [step] "r"(windows.step_3), "m"(bytes));
  } else {
    __asm__("vpbroadcastd (%[row],%[step],%c[scale]), %[x]"
            : [x] "=v"(x)
            : [row] "r"(row), [step] "r"(windows.step), [scale] "i"(kPlace), "m"(bytes));
  }
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[v]) : "v"(x), "v"(w[v]));
}
#endif

template <std::size_t kPixels, std::size_t kPanels, std::size_t... kPixel>
inline void add_products_of_tile(const Windows& x, const __m512i* w, __m512i (&acc)[kPixels][kPanels],
                                 std::index_sequence<kPixel...>) {
  (add_products<kPixel, kPanels>(x, w, acc[kPixel]), ...);
}

// kPixels windows from pixel `first` on, by kPanels panels from `panel` on.
template <std::size_t kPixels, std::size_t kPanels>
inline void multiply_tile(const QuantProduct& p, std::size_t first, std::size_t panel) {
  const std::size_t channel = panel * kLanes;
  __m512i acc[kPixels][kPanels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) acc[i][v] = _mm512_loadu_si512(p.start + channel + v * kLanes);
  }
  const std::uint8_t* w = p.panels + panel * p.panel_bytes;
  for (std::size_t r = 0; r < p.runs; ++r) {
    Windows x(p.rows[r] + first * p.pixel_bytes, p.pixel_bytes);
    for (std::size_t k = 0; k < p.run_words; ++k, w += 64) {
      __m512i weights[kPanels];
      RBNN_UNROLL
      for (std::size_t v = 0; v < kPanels; ++v) weights[v] = _mm512_load_si512(w + v * p.panel_bytes);
      add_products_of_tile(x, weights, acc, std::make_index_sequence<kPixels>());
      for (const std::uint8_t*& row : x.rows) row += 4;
    }
  }
  const __m512 lower = _mm512_set1_ps(p.lower), upper = _mm512_set1_ps(p.upper);
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) {
    const std::size_t o = channel + v * kLanes;
    const __mmask16 lanes = first_lanes(p.channels - o);
    const __m512 scale = _mm512_loadu_ps(p.scale + o), bias = _mm512_loadu_ps(p.bias + o);
    const float* residual = p.residual + first * p.residual_stride + o;
    float* output = p.output + first * p.output_stride + o;
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i, residual += p.residual_stride, output += p.output_stride) {
      __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[i][v]), scale);
      y = _mm512_add_ps(y, bias);
      y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, residual));
      // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
      _mm512_mask_storeu_ps(output, lanes, _mm512_min_ps(upper, _mm512_max_ps(lower, y)));
    }
  }
}

template <std::size_t kPixels, std::size_t kPanels>
void multiply_panels(const QuantProduct& p, std::size_t panel) {
  std::size_t i = 0;
  for (; i + kPixels <= p.pixels; i += kPixels) multiply_tile<kPixels, kPanels>(p, i, panel);
  if (kPixels > 6 && i + 6 <= p.pixels) {
    multiply_tile<6, kPanels>(p, i, panel);
    i += 6;
  }
  if (i + 4 <= p.pixels) {
    multiply_tile<4, kPanels>(p, i, panel);
    i += 4;
  }
  if (i + 2 <= p.pixels) {
    multiply_tile<2, kPanels>(p, i, panel);
    i += 2;
  }
  if (i < p.pixels) multiply_tile<1, kPanels>(p, i, panel);
}

void multiply(const QuantProduct& p) {
  const std::size_t panels = (p.channels + kLanes - 1) / kLanes;
  std::size_t panel = 0;
  for (; panel + 4 <= panels; panel += 4) multiply_panels<6, 4>(p, panel);
  if (panel + 2 <= panels) {
    multiply_panels<12, 2>(p, panel);
    panel += 2;
  }
  if (panel < panels) multiply_panels<12, 1>(p, panel);
}

// vmaxps of y and m is y where y > m, else m, as the specification has it.
void pool(const PoolRow& p) {
  for (std::size_t v = 0; v < p.count; ++v) {
    const std::size_t first = v * p.stride, begin = first > p.pad ? first - p.pad : 0;
    const std::size_t end = first + p.taps - p.pad < p.width ? first + p.taps - p.pad : p.width;
    for (std::size_t c = 0; c < p.channels; c += kLanes) {
      const __mmask16 lanes = first_lanes(p.channels - c);
      __m512 m = _mm512_maskz_loadu_ps(lanes, p.rows[0] + begin * p.stride_floats + c);
      for (std::size_t r = 0; r < p.row_count; ++r) {
        const float* y = p.rows[r] + begin * p.stride_floats + c;
        for (std::size_t column = begin; column < end; ++column, y += p.stride_floats) {
          m = _mm512_max_ps(_mm512_maskz_loadu_ps(lanes, y), m);
        }
      }
      _mm512_mask_storeu_ps(p.output + v * p.output_stride + c, lanes, m);
    }
  }
}

}  // namespace

const QuantKernel quant_avx512_vpopcntdq = {
    kLanes, Storage::kUnsignedByte, /*per_word=*/4, quantise, quantise_planes, multiply, pool, mean_of_window};

}  // namespace rbnn
