// NEON: no instruction collects sign bits, so shifts by four and an addition across the vector do.

#include <arm_neon.h>

#include "kernels/sign_packing/kernel.h"

namespace rbnn {

void pack_signs_neon(const float* x, std::size_t count, float threshold, Word* bits) {
  const float32x4_t limit = vdupq_n_f32(threshold);
  const uint32x4_t own_bit = {0x11111111u, 0x22222222u, 0x44444444u, 0x88888888u};
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    // Nibble n of lane l: all ones where x[4n + l] is +1. (A comparison with a NaN is false, -1.)
    uint32x4_t nibbles = vcgeq_f32(vld1q_f32(x + i), limit);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 4), limit), 4);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 8), limit), 8);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 12), limit), 12);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 16), limit), 16);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 20), limit), 20);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 24), limit), 24);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 28), limit), 28);
    *bits++ = vaddvq_u32(vandq_u32(nibbles, own_bit));
  }
  if (i < count) {
    Word word = 0;
    for (std::size_t b = 0; i + b < count; ++b) word |= sign_bit(x[i + b], threshold) << b;
    *bits = word;
  }
}

}  // namespace rbnn
