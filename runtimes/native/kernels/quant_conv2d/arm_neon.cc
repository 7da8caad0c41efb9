// NEON: smlal on activations and weights of 16 bits; a vector is four output channels, a panel two.
//
// A tile is 6 pixels by one panel: 12 of the 32 registers are sums, 6 hold 8 activations of each pixel, which are
// multiplied as lanes.
// Tail: the last panel's missing channels are 0 in the weights, and are not stored. Of a run, activations behind the
// last eight are loaded one by one.

#include <arm_neon.h>

#include "kernels/quant_conv2d/arm_neon_finish.h"
#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kWordsOfVector = 8;

template <int kWord, std::size_t kPixels>
inline void multiply_word(int32x4_t (&acc)[kPixels][2], const int16x8_t (&x)[kPixels], const std::int16_t* w) {
  const int16x8_t weights = vld1q_s16(w + kWord * kLanes);
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    acc[i][0] = vmlal_laneq_s16(acc[i][0], vget_low_s16(weights), x[i], kWord);
    acc[i][1] = vmlal_high_laneq_s16(acc[i][1], weights, x[i], kWord);
  }
}

template <std::size_t kPixels>
inline void multiply_tile(const QuantProduct& p, std::size_t first, std::size_t panel) {
  const std::size_t channel = panel * kLanes, step = p.pixel_bytes;
  int32x4_t acc[kPixels][2];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    acc[i][0] = vld1q_s32(p.start + channel);
    acc[i][1] = vld1q_s32(p.start + channel + 4);
  }
  const auto* w = reinterpret_cast<const std::int16_t*>(p.panels + panel * p.panel_bytes);
  for (std::size_t r = 0; r < p.runs; ++r) {
    const std::uint8_t* window = p.rows[r] + first * step;
    int16x8_t x[kPixels];
    std::size_t left = p.run_words;
    for (; left >= kWordsOfVector; left -= kWordsOfVector) {
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) x[i] = vreinterpretq_s16_u8(vld1q_u8(window + i * step));
      multiply_word<0>(acc, x, w);
      multiply_word<1>(acc, x, w);
      multiply_word<2>(acc, x, w);
      multiply_word<3>(acc, x, w);
      multiply_word<4>(acc, x, w);
      multiply_word<5>(acc, x, w);
      multiply_word<6>(acc, x, w);
      multiply_word<7>(acc, x, w);
      window += kWordsOfVector * sizeof(std::int16_t);
      w += kWordsOfVector * kLanes;
    }
    for (; left > 0; --left) {
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) {
        std::int16_t activation;
        std::memcpy(&activation, window + i * step, sizeof(activation));
        x[i] = vdupq_n_s16(activation);
      }
      multiply_word<0>(acc, x, w);
      window += sizeof(std::int16_t);
      w += kLanes;
    }
  }
  finish_tile<kPixels>(p, acc, first, channel);
}

void multiply(const QuantProduct& p) {
  for (std::size_t panel = 0; panel * kLanes < p.channels; ++panel) {
    std::size_t i = 0;
    for (; i + 6 <= p.pixels; i += 6) multiply_tile<6>(p, i, panel);
    for (; i + 2 <= p.pixels; i += 2) multiply_tile<2>(p, i, panel);
    if (i < p.pixels) multiply_tile<1>(p, i, panel);
  }
}

}  // namespace

const QuantKernel quant_neon = {kLanes,
                                Storage::kShort,
                                /*per_word=*/1,
                                quantise_values<std::int16_t>,
                                quantise_each_plane<std::int16_t>,
                                multiply,
                                pool_row,
                                mean_of_window};

}  // namespace rbnn
