// A tile of the product for NEON: kPixels pixels by a panel of two vectors of output channels, and its float steps.
//
// `Dot` is how an instruction set multiplies words: Element is a weight; Weights those of a word and all channels; a
// Vector holds kWordsOfVector words of a pixel, one of which add<kWord> multiplies.
// Tail: the last panel's missing channels are 0 in the weights, and are not stored. Of a run, words behind the last
// whole vector are loaded one by one, so that nothing behind the run's last word is read.
//
// In an unnamed namespace, so that each kernel's file keeps a copy of its own.

#pragma once

#include <arm_neon.h>

#include <utility>

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

template <typename Dot, std::size_t kPixels, int kWord = 0>
inline void multiply_word(int32x4_t (&acc)[kPixels][2], const typename Dot::Vector (&x)[kPixels],
                          const typename Dot::Element* w) {
  const typename Dot::Weights weights = Dot::load_weights(w + kWord * Dot::kPerWord * kLanes);
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) Dot::template add<kWord>(acc[i], weights, x[i]);
}

template <typename Dot, std::size_t kPixels, int... kWords>
inline void multiply_words(int32x4_t (&acc)[kPixels][2], const typename Dot::Vector (&x)[kPixels],
                           const typename Dot::Element* w, std::integer_sequence<int, kWords...>) {
  (multiply_word<Dot, kPixels, kWords>(acc, x, w), ...);
}

template <typename Dot, std::size_t kPixels>
inline void multiply_tile(const QuantProduct& p, std::size_t first, std::size_t panel) {
  constexpr std::size_t kWordBytes = Dot::kPerWord * sizeof(typename Dot::Element);
  const std::size_t channel = panel * kLanes, step = p.pixel_bytes;
  int32x4_t acc[kPixels][2];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    acc[i][0] = vld1q_s32(p.start + channel);
    acc[i][1] = vld1q_s32(p.start + channel + 4);
  }
  const auto* w = reinterpret_cast<const typename Dot::Element*>(p.panels + panel * p.panel_bytes);
  for (std::size_t r = 0; r < p.runs; ++r) {
    const std::uint8_t* window = p.rows[r] + first * step;
    typename Dot::Vector x[kPixels];
    std::size_t left = p.run_words;
    for (; left >= Dot::kWordsOfVector; left -= Dot::kWordsOfVector) {
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) x[i] = Dot::load(window + i * step);
      multiply_words<Dot>(acc, x, w, std::make_integer_sequence<int, Dot::kWordsOfVector>());
      window += Dot::kWordsOfVector * kWordBytes;
      w += Dot::kWordsOfVector * Dot::kPerWord * kLanes;
    }
    for (; left > 0; --left) {
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) x[i] = Dot::load_word(window + i * step);
      multiply_word<Dot>(acc, x, w);
      window += kWordBytes;
      w += Dot::kPerWord * kLanes;
    }
  }
  finish_tile<kPixels>(p, acc, first, channel);
}

// Tiles of kMany pixels, then of kFew, then of one.
template <typename Dot, std::size_t kMany, std::size_t kFew>
void multiply(const QuantProduct& p) {
  for (std::size_t panel = 0; panel * kLanes < p.channels; ++panel) {
    std::size_t i = 0;
    for (; i + kMany <= p.pixels; i += kMany) multiply_tile<Dot, kMany>(p, i, panel);
    for (; i + kFew <= p.pixels; i += kFew) multiply_tile<Dot, kFew>(p, i, panel);
    for (; i < p.pixels; ++i) multiply_tile<Dot, 1>(p, i, panel);
  }
}

}  // namespace
}  // namespace rbnn
