// NEON, part of every 64-bit Arm: no instruction here is newer than Armv8.0 (Cortex-A53 and A72).
// arm_neon_multiply.cc has the product.

#include <arm_neon.h>

#include "kernels/binary_conv2d/arm_neon.h"

namespace rbnn {
namespace {

// ---- sum_rows ----

// The sum of one row: eight chains of additions, as many as an addition's latency times two pipes.
double sum_row(const float* x, std::size_t length) {
  float64x2_t lane[8];
  for (float64x2_t& pair : lane) pair = vdupq_n_f64(0);
  const auto add = [&lane](const float* from) {
    for (std::size_t i = 0; i < 4; ++i) {
      const float32x4_t four = vld1q_f32(from + 4 * i);
      lane[2 * i] = vaddq_f64(lane[2 * i], vcvt_f64_f32(vget_low_f32(four)));
      lane[2 * i + 1] = vaddq_f64(lane[2 * i + 1], vcvt_high_f64_f32(four));
    }
  };
  std::size_t i = 0;
  for (; i + 16 <= length; i += 16) add(x + i);
  // Lanes behind the row's end add +0, which changes nothing: a lane starts at +0 and so is never -0.
  float rest[16] = {};
  for (std::size_t j = i; j < length; ++j) rest[j - i] = x[j];
  add(rest);
  for (std::size_t half = 4; half != 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lane[l] = vaddq_f64(lane[l], lane[l + half]);
  }
  return vgetq_lane_f64(lane[0], 0) + vgetq_lane_f64(lane[0], 1);
}

void sum_rows(const float* x, std::size_t rows, std::size_t length, double* sums) {
  for (std::size_t row = 0; row < rows; ++row) sums[row] = sum_row(x + row * length, length);
}

// ---- pack_signs ----

void pack_signs(const float* x, std::size_t count, float threshold, Word* bits) {
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

// ---- gather_runs ----

// Runs of whole triples that start at a word, as 32 and more channels have them, in one pass; others as plain C++ does.
void gather_runs(const Runs& runs) {
  const Runs r = runs;
  if (r.position % kWordBits != 0 || r.step % kWordBits != 0 || r.run_bits != r.run_words * kWordBits) {
    gather_runs_portable(r);
    return;
  }
  const Word* from = r.bits + r.position / kWordBits;
  Word* to = r.output;
  for (std::size_t i = 0; i < r.count; ++i, from += r.step / kWordBits, to += r.output_stride) {
    for (std::size_t k = 0; k < r.run_words; k += 3) {
      const Word a = from[k], b = a ^ from[k + 1], c = b ^ from[k + 2];
      to[k] = a;
      to[k + 1] = b;
      to[k + 2] = c;
    }
  }
}

}  // namespace

extern const Kernel kernel_neon;  // const objects are internal without a declaration
const Kernel kernel_neon = {"neon",     neon::kLanes, /*triples=*/true, sum_rows,
                            pack_signs, gather_runs,  neon::multiply};

}  // namespace rbnn
