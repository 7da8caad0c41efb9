// The steps as one loop over channels, without a branch in it, which compilers vectorise with each file's flags.
//
// In an unnamed namespace, so that each kernel's file keeps a copy of its own. Products and sums are never fused:
// all files are compiled with -ffp-contract=off.

#pragma once

#include "kernels/epilogue/kernel.h"

namespace rbnn {
namespace {

template <bool kSums, bool kSlopes, bool kResidual>
inline void finish_pixel(const Outputs& o, float sum, const float* __restrict residual, float* __restrict y) {
  const float* const __restrict window_sum = o.window_sum, * const __restrict neg = o.neg;
  const float* const __restrict pos = o.pos, * const __restrict post = o.post;
  const float lower = o.lower, upper = o.upper;
  for (std::size_t c = 0; c < o.channels; ++c) {
    float value = y[c];
    if (kSums) value += sum * window_sum[c];
    if (kSlopes) {
      const float below = neg[c], above = pos[c];  // both read: a choice between two loads is a branch
      value *= value < 0.0f ? below : above;
      value += post[c];
    } else {
      value = value < lower ? lower : value;
      value = value > upper ? upper : value;
    }
    if (kResidual) value += residual[c];
    y[c] = value;
  }
}

template <bool kSums, bool kSlopes, bool kResidual>
inline void finish_pixels(const Outputs& o) {
  const float* residual = o.residual;
  float* y = o.y;
  for (std::size_t p = 0; p < o.pixels; ++p, y += o.stride) {
    finish_pixel<kSums, kSlopes, kResidual>(o, kSums ? o.sums[p] : 0.0f, residual, y);
    if (kResidual) residual += o.residual_stride;
  }
}

template <bool kSums, bool kSlopes>
inline void finish_with(const Outputs& o) {
  if (o.residual == nullptr) {
    finish_pixels<kSums, kSlopes, false>(o);
  } else {
    finish_pixels<kSums, kSlopes, true>(o);
  }
}

inline void finish(const Outputs& o) {
  if (o.sums == nullptr) {
    o.neg == nullptr ? finish_with<false, false>(o) : finish_with<false, true>(o);
  } else {
    o.neg == nullptr ? finish_with<true, false>(o) : finish_with<true, true>(o);
  }
}

}  // namespace
}  // namespace rbnn
