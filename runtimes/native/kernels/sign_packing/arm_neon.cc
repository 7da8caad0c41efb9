// NEON: no instruction collects sign bits, so shifts by four and an addition across the vector do.

#include <arm_neon.h>

#include "kernels/sign_packing/kernel.h"

namespace rbnn {
namespace {

struct OneVector : OneLimit {
  float32x4_t vector = vdupq_n_f32(limit);
  float32x4_t at(std::size_t) const { return vector; }
};
struct EachVector : EachLimit {
  float32x4_t at(std::size_t i) const { return vld1q_f32(limits + i); }
};

template <typename Limits>
inline void pack(const float* x, std::size_t count, const Limits& limits, Word* bits) {
  // All ones where x[i] is +1. (A comparison with a NaN is false, -1.)
  const auto above = [&](std::size_t i) { return vcgeq_f32(vld1q_f32(x + i), limits.at(i)); };
  const uint32x4_t own_bit = {0x11111111u, 0x22222222u, 0x44444444u, 0x88888888u};
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    // Nibble n of lane l: all ones where x[4n + l] is +1.
    uint32x4_t nibbles = above(i);
    nibbles = vsliq_n_u32(nibbles, above(i + 4), 4);
    nibbles = vsliq_n_u32(nibbles, above(i + 8), 8);
    nibbles = vsliq_n_u32(nibbles, above(i + 12), 12);
    nibbles = vsliq_n_u32(nibbles, above(i + 16), 16);
    nibbles = vsliq_n_u32(nibbles, above(i + 20), 20);
    nibbles = vsliq_n_u32(nibbles, above(i + 24), 24);
    nibbles = vsliq_n_u32(nibbles, above(i + 28), 28);
    *bits++ = vaddvq_u32(vandq_u32(nibbles, own_bit));
  }
  if (i < count) *bits = pack_rest(x, limits, i, count);
}

void pack_one(const float* x, std::size_t count, float threshold, Word* bits) {
  pack(x, count, OneVector{{threshold}}, bits);
}

void pack_each(const float* x, std::size_t count, const float* thresholds, Word* bits) {
  pack(x, count, EachVector{{thresholds}}, bits);
}

}  // namespace

const SignPacking sign_packing_neon = {pack_one, pack_each};

}  // namespace rbnn
