// Whole maps: floats -> bits, which PackSigns computes, and back, as UnpackSigns (docs/ops/).

#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/parallel.h"
#include "kernels/sign_packing/kernel.h"

namespace rbnn {

// x: [pixels, channels]; thresholds: [channels], or one element; y: [pixels, ceil(channels / 8)].
void pack_map(const SignPacking& packing, const float* x, std::size_t pixels, std::size_t channels,
              const float* thresholds, bool one_threshold, std::uint8_t* y, const Parallel& parallel);

// The reverse: +1 or -1.
void unpack_map(const std::uint8_t* x, std::size_t pixels, std::size_t channels, float* y, const Parallel& parallel);

}  // namespace rbnn
