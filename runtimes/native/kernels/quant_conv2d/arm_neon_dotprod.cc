// NEON with the dot products of Armv8.2 (sdot): four products of signed bytes and their sum, exact, for each of four
// output channels. A vector is four channels, a panel two.
//
// A tile is 8 pixels by one panel: 16 of the 32 registers are sums, 8 hold 16 activations of each pixel, whose words
// are multiplied as a lane.
// Tail: the last panel's missing channels are 0 in the weights, and are not stored. Of a run, words behind the last
// four are loaded one by one, so that nothing behind the run's last word is read.

#include <arm_neon.h>

#include "kernels/quant_conv2d/arm_neon_finish.h"
#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kPerWord = 4, kWordsOfVector = 4;
constexpr std::size_t kVectorBytes = kPerWord * kWordsOfVector, kWeightBytes = kPerWord * kLanes;  // of one word

template <int kWord, std::size_t kPixels>
inline void multiply_word(int32x4_t (&acc)[kPixels][2], const int8x16_t (&x)[kPixels], const std::int8_t* w) {
  const int8x16_t low = vld1q_s8(w + kWord * kWeightBytes), high = vld1q_s8(w + kWord * kWeightBytes + kVectorBytes);
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    acc[i][0] = vdotq_laneq_s32(acc[i][0], low, x[i], kWord);
    acc[i][1] = vdotq_laneq_s32(acc[i][1], high, x[i], kWord);
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
  const auto* w = reinterpret_cast<const std::int8_t*>(p.panels + panel * p.panel_bytes);
  for (std::size_t r = 0; r < p.runs; ++r) {
    const std::uint8_t* window = p.rows[r] + first * step;
    int8x16_t x[kPixels];
    std::size_t left = p.run_words;
    for (; left >= kWordsOfVector; left -= kWordsOfVector) {
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) x[i] = vreinterpretq_s8_u8(vld1q_u8(window + i * step));
      multiply_word<0>(acc, x, w);
      multiply_word<1>(acc, x, w);
      multiply_word<2>(acc, x, w);
      multiply_word<3>(acc, x, w);
      window += kVectorBytes;
      w += kWordsOfVector * kWeightBytes;
    }
    for (; left > 0; --left) {
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) {
        std::int32_t word;
        std::memcpy(&word, window + i * step, sizeof(word));
        x[i] = vreinterpretq_s8_s32(vdupq_n_s32(word));
      }
      multiply_word<0>(acc, x, w);
      window += kPerWord;
      w += kWeightBytes;
    }
  }
  finish_tile<kPixels>(p, acc, first, channel);
}

void multiply(const QuantProduct& p) {
  for (std::size_t panel = 0; panel * kLanes < p.channels; ++panel) {
    std::size_t i = 0;
    for (; i + 8 <= p.pixels; i += 8) multiply_tile<8>(p, i, panel);
    for (; i + 4 <= p.pixels; i += 4) multiply_tile<4>(p, i, panel);
    for (; i < p.pixels; ++i) multiply_tile<1>(p, i, panel);
  }
}

}  // namespace

const QuantKernel quant_neon_dotprod = {
    kLanes,   Storage::kSignedByte, kPerWord, quantise_values<std::int8_t>, quantise_each_plane<std::int8_t>, multiply,
    pool_row, mean_of_window};

}  // namespace rbnn
