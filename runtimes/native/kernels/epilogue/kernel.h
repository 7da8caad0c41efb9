// Epilogue: the steps of GeneralBinaryConv2d that the product does not take, in a pass over outputs that it has just
// written, while they are in a cache (docs/ops/GeneralBinaryConv2d.md, steps 4.5 to 6).
//
// A file per instruction set defines one function. It includes nothing but this header, steps.h and intrinsics, and
// keeps everything else in an anonymous namespace: it is compiled with flags that the rest of the library is not.

#pragma once

#include <cstddef>

namespace rbnn {

struct Outputs {
  float* y;  // of the first pixel; it overlaps nothing below
  std::size_t pixels, stride, channels;

  const float* sums;        // [pixels], S of the equation; null: no step 4.5
  const float* window_sum;  // [channels]

  const float* neg;    // [channels]; null: no slopes, but the bounds
  const float* pos;    // [channels]
  const float* post;   // [channels]
  float lower, upper;  // y < lower gives lower, y > upper gives upper, all else passes

  const float* residual;  // of the first pixel; null: no step 6
  std::size_t residual_stride;
};

using FinishOutputs = void (*)(const Outputs& outputs);

#define RBNN_KERNEL(isa) void finish_outputs_##isa(const Outputs& outputs);
#include "kernels/epilogue/kernels.inc"

}  // namespace rbnn
