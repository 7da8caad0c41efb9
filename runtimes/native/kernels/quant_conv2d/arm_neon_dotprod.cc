// NEON with the dot products of Armv8.2 (sdot): four products of signed bytes and their sum, exact, for each of four
// output channels. A vector is four channels, a panel two.
//
// A tile is 8 pixels by one panel: 16 of the 32 registers are sums, 8 hold 16 activations of each pixel, whose words
// are multiplied as a lane.

#include <arm_neon.h>

#include "kernels/quant_conv2d/arm_neon_tile.h"
#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"

namespace rbnn {
namespace {

struct Sdot {
  using Element = std::int8_t;
  using Vector = int8x16_t;
  struct Weights {
    int8x16_t low, high;
  };
  static constexpr std::size_t kPerWord = 4, kWordsOfVector = 4;

  static Vector load(const std::uint8_t* window) { return vreinterpretq_s8_u8(vld1q_u8(window)); }
  static Vector load_word(const std::uint8_t* window) {
    std::int32_t word;
    std::memcpy(&word, window, sizeof(word));
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
  }
  static Weights load_weights(const Element* w) { return {vld1q_s8(w), vld1q_s8(w + sizeof(Vector))}; }

  template <int kWord>
  static void add(int32x4_t (&acc)[2], const Weights& w, const Vector& x) {
    acc[0] = vdotq_laneq_s32(acc[0], w.low, x, kWord);
    acc[1] = vdotq_laneq_s32(acc[1], w.high, x, kWord);
  }
};

}  // namespace

const QuantKernel quant_neon_dotprod = {kLanes,
                                        Storage::kSignedByte,
                                        Sdot::kPerWord,
                                        quantise_values<std::int8_t>,
                                        quantise_each_plane<std::int8_t>,
                                        multiply<Sdot, 8, 4>,
                                        pool_row,
                                        mean_of_window};

}  // namespace rbnn
