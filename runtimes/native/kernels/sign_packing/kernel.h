// Sign packing: from float32 values to bits, 1 where a value is at least the threshold (bits.h, which says what a bit
// is, and mirrors rbnn_deploy/bits.py).
//
// A file per instruction set defines one function. It includes nothing but this header, other kernel.h and intrinsics,
// and keeps everything else in an anonymous namespace: it is compiled with flags that the rest of the library is not.

#pragma once

#include <cstddef>

#include "kernels/bits.h"

namespace rbnn {

// Bit i of `bits` = sign_bit(x[i], threshold) for i < count; the bits behind, up to a whole word, are 0.
using PackSigns = void (*)(const float* x, std::size_t count, float threshold, Word* bits);

#define RBNN_KERNEL(isa) void pack_signs_##isa(const float* x, std::size_t count, float threshold, Word* bits);
#include "kernels/sign_packing/kernels.inc"

}  // namespace rbnn
