// NEON: smlal on activations and weights of 16 bits; a vector is four output channels, a panel two.
//
// A tile is 6 pixels by one panel: 12 of the 32 registers are sums, 6 hold 8 activations of each pixel, which are
// multiplied as lanes.

#include <arm_neon.h>

#include "kernels/quant_conv2d/arm_neon_tile.h"
#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"

namespace rbnn {
namespace {

struct Smlal {
  using Element = std::int16_t;
  using Vector = int16x8_t;
  using Weights = int16x8_t;
  static constexpr std::size_t kPerWord = 1, kWordsOfVector = 8;

  static Vector load(const std::uint8_t* window) { return vreinterpretq_s16_u8(vld1q_u8(window)); }
  static Vector load_word(const std::uint8_t* window) {
    std::int16_t activation;
    std::memcpy(&activation, window, sizeof(activation));
    return vdupq_n_s16(activation);
  }
  static Weights load_weights(const Element* w) { return vld1q_s16(w); }

  template <int kWord>
  static void add(int32x4_t (&acc)[2], const Weights& w, const Vector& x) {
    acc[0] = vmlal_laneq_s16(acc[0], vget_low_s16(w), x, kWord);
    acc[1] = vmlal_high_laneq_s16(acc[1], w, x, kWord);
  }
};

}  // namespace

const QuantKernel quant_neon = {kLanes,
                                Storage::kShort,
                                Smlal::kPerWord,
                                quantise_values<std::int16_t>,
                                quantise_each_plane<std::int16_t>,
                                multiply<Smlal, 6, 2>,
                                pool_row,
                                mean_of_window};

}  // namespace rbnn
