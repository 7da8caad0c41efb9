// Sign packing: from float32 values to bits, 1 where a value is at least the threshold (bits.h, which says what a bit
// is, and mirrors rbnn_deploy/bits.py).
//
// A file per instruction set defines one SignPacking. It includes nothing but this header, other kernel.h and
// intrinsics, and keeps everything else in an anonymous namespace: it is compiled with flags that the rest of the
// library is not.

#pragma once

#include <cstddef>

#include "kernels/bits.h"

namespace rbnn {

// Bit i of `bits` = sign_bit(x[i], threshold) for i < count; the bits behind, up to a whole word, are 0.
using PackSigns = void (*)(const float* x, std::size_t count, float threshold, Word* bits);

// The same with a threshold for each value: bit i = sign_bit(x[i], thresholds[i]).
using PackSignsEach = void (*)(const float* x, std::size_t count, const float* thresholds, Word* bits);

struct SignPacking {
  PackSigns one;
  PackSignsEach each;
};

#define RBNN_KERNEL(isa) extern const SignPacking sign_packing_##isa;
#include "kernels/sign_packing/kernels.inc"

// In an unnamed namespace: see bits.h.
namespace {

// What a value is compared with: one threshold, or one for each value.
struct OneLimit {
  float limit;
  float operator[](std::size_t) const { return limit; }
};
struct EachLimit {
  const float* limits;
  float operator[](std::size_t i) const { return limits[i]; }
};

// The bits of less than a word.
template <typename Limits>
inline Word pack_rest(const float* x, const Limits& limits, std::size_t begin, std::size_t end) {
  Word word = 0;
  for (std::size_t i = begin; i < end; ++i) word |= sign_bit(x[i], limits[i]) << (i - begin);
  return word;
}

}  // namespace
}  // namespace rbnn
