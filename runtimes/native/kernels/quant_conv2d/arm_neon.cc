// NEON: smlal on activations and weights of 16 bits; a vector is four output channels, a panel two.
//
// A tile is 6 pixels by one panel: 12 of the 32 registers are sums. An activation is multiplied as a lane's scalar.
// Tail: the last panel's missing channels are 0 in the weights, and are not stored.

#include <arm_neon.h>

#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;

template <std::size_t kPixels>
inline void multiply_tile(const QuantProduct& p, std::size_t first, std::size_t panel) {
  const std::size_t channel = panel * kLanes, step = p.pixel_bytes;
  int32x4_t acc[kPixels][2];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    acc[i][0] = vld1q_s32(p.start + channel);
    acc[i][1] = vld1q_s32(p.start + channel + 4);
  }
  const std::uint8_t* w = p.panels + panel * p.panel_bytes;
  for (std::size_t r = 0; r < p.runs; ++r) {
    const std::uint8_t* x = p.rows[r] + first * step;
    for (std::size_t k = 0; k < p.run_words; ++k, x += sizeof(std::int16_t), w += sizeof(std::int16_t) * kLanes) {
      const int16x8_t weights = vld1q_s16(reinterpret_cast<const std::int16_t*>(w));
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) {
        std::int16_t activation;
        std::memcpy(&activation, x + i * step, sizeof(activation));
        acc[i][0] = vmlal_n_s16(acc[i][0], vget_low_s16(weights), activation);
        acc[i][1] = vmlal_n_s16(acc[i][1], vget_high_s16(weights), activation);
      }
    }
  }
  const std::size_t left = p.channels - channel, lanes = left < kLanes ? left : kLanes;
  const float* residual = p.residual + first * p.residual_stride + channel;
  float* output = p.output + first * p.output_stride + channel;
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i, residual += p.residual_stride, output += p.output_stride) {
    float y[kLanes];
    RBNN_UNROLL
    for (std::size_t half = 0; half < 2; ++half) {
      const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(acc[i][half]), vld1q_f32(p.scale + channel + 4 * half));
      vst1q_f32(y + 4 * half, vaddq_f32(scaled, vld1q_f32(p.bias + channel + 4 * half)));
    }
    for (std::size_t l = 0; l < lanes; ++l) output[l] = clamped(y[l] + residual[l], p.lower, p.upper);
  }
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

const QuantKernel quant_neon = {
    kLanes,         sizeof(std::int16_t),
    /*per_word=*/1, quantise_values<std::int16_t>, quantise_each_plane<std::int16_t>, multiply, pool_row,
    mean_of_window};

}  // namespace rbnn
