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
  // Nibble n of lane l: all ones where x[4n + l] is +1. As a tree, because each insertion waits for the one before.
  const auto nibbles = [&](std::size_t i) {
    const auto bytes = [&](std::size_t j) { return vsliq_n_u32(above(j), above(j + 4), 4); };
    const auto halves = [&](std::size_t j) { return vsliq_n_u32(bytes(j), bytes(j + 8), 8); };
    const uint32x4_t own_bit = {0x11111111u, 0x22222222u, 0x44444444u, 0x88888888u};
    return vandq_u32(vsliq_n_u32(halves(i), halves(i + 16), 16), own_bit);
  };
  std::size_t i = 0;
  for (; i + 2 * kWordBits <= count; i += 2 * kWordBits, bits += 2) {
    uint32x4_t sums = vpaddq_u32(nibbles(i), nibbles(i + kWordBits));
    sums = vpaddq_u32(sums, sums);
    vst1_u32(bits, vget_low_u32(sums));
  }
  for (; i + kWordBits <= count; i += kWordBits) *bits++ = vaddvq_u32(nibbles(i));
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
