// The peak that a kernel's speed is measured against: xor, popcount and add of each word, in registers only, with the
// instructions that the kernel's instruction set has for it. A layer can exceed it, where carry-save adders spare
// popcounts.

#pragma once

#include <cstddef>

namespace rbnn {

// Runs about `steps` * 8 vectors of xor-popcount-add; returns how many bits went through them.
#define RBNN_KERNEL(name, features) double peak_##name(std::size_t steps);
#include "kernels/binary_conv2d/kernels.inc"

}  // namespace rbnn
