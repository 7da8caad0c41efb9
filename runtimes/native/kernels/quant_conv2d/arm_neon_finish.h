// The float steps of a tile of sums, for NEON: kPixels pixels by a panel of two vectors of output channels.
//
// In an unnamed namespace, so that each kernel's file keeps a copy of its own.

#pragma once

#include <arm_neon.h>

#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;

template <std::size_t kPixels>
inline void finish_tile(const QuantProduct& p, const int32x4_t (&acc)[kPixels][2], std::size_t first,
                        std::size_t channel) {
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

}  // namespace
}  // namespace rbnn
