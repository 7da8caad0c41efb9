// AVX2: vpmaddwd on activations and weights of 16 bits, two of each a word.
//
// vpmaddubsw would take twice as many, but saturates sums of two products at 16 bits, and so is not exact. A vector is
// eight output channels; a tile is 6 pixels by 2 panels: 12 of the 16 registers are sums.
//
// Overflow: a pair of products of magnitudes up to 255 and 128 fits into 17 bits, and sums fit by the contract.
// Tail: the last panel's missing channels are 0 in the weights, and masked out where channels are loaded or stored.

#include <immintrin.h>

#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;

// kPixels windows from pixel `first` on, by kPanels panels from `panel` on.
template <std::size_t kPixels, std::size_t kPanels>
inline void multiply_tile(const QuantProduct& p, std::size_t first, std::size_t panel) {
  const std::size_t channel = panel * kLanes, step = p.pixel_bytes;
  __m256i acc[kPixels][kPanels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      acc[i][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p.start + channel + v * kLanes));
    }
  }
  const std::uint8_t* w = p.panels + panel * p.panel_bytes;
  for (std::size_t r = 0; r < p.runs; ++r) {
    const std::uint8_t* x = p.rows[r] + first * step;
    for (std::size_t k = 0; k < p.run_words; ++k, x += 4, w += 32) {
      __m256i weights[kPanels];
      RBNN_UNROLL
      for (std::size_t v = 0; v < kPanels; ++v) {
        weights[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + v * p.panel_bytes));
      }
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) {
        std::int32_t word;
        std::memcpy(&word, x + i * step, sizeof(word));
        const __m256i activations = _mm256_set1_epi32(word);
        RBNN_UNROLL
        for (std::size_t v = 0; v < kPanels; ++v) {
          acc[i][v] = _mm256_add_epi32(acc[i][v], _mm256_madd_epi16(activations, weights[v]));
        }
      }
    }
  }
  const __m256 lower = _mm256_set1_ps(p.lower), upper = _mm256_set1_ps(p.upper);
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) {
    const std::size_t o = channel + v * kLanes, left = p.channels - o;
    const __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(left < kLanes ? left : kLanes)), index);
    const __m256 scale = _mm256_loadu_ps(p.scale + o), bias = _mm256_loadu_ps(p.bias + o);
    const float* residual = p.residual + first * p.residual_stride + o;
    float* output = p.output + first * p.output_stride + o;
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i, residual += p.residual_stride, output += p.output_stride) {
      __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[i][v]), scale);
      y = _mm256_add_ps(y, bias);
      y = _mm256_add_ps(y, _mm256_maskload_ps(residual, lanes));
      // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
      _mm256_maskstore_ps(output, lanes, _mm256_min_ps(upper, _mm256_max_ps(lower, y)));
    }
  }
}

template <std::size_t kPanels>
void multiply_panels(const QuantProduct& p, std::size_t panel) {
  std::size_t i = 0;
  for (; i + 6 <= p.pixels; i += 6) multiply_tile<6, kPanels>(p, i, panel);
  for (; i + 2 <= p.pixels; i += 2) multiply_tile<2, kPanels>(p, i, panel);
  if (i < p.pixels) multiply_tile<1, kPanels>(p, i, panel);
}

void multiply(const QuantProduct& p) {
  const std::size_t panels = (p.channels + kLanes - 1) / kLanes;
  std::size_t panel = 0;
  for (; panel + 2 <= panels; panel += 2) multiply_panels<2>(p, panel);
  if (panel < panels) multiply_panels<1>(p, panel);
}

}  // namespace

const QuantKernel quant_avx2 = {kLanes,
                                Storage::kShort,
                                /*per_word=*/2,
                                quantise_values<std::int16_t>,
                                quantise_each_plane<std::int16_t>,
                                multiply,
                                pool_row,
                                mean_of_window};

}  // namespace rbnn
