// The peak that a kernel's speed is measured against: xor, popcount and add of each word, in registers only, with the
// instructions that the kernel's instruction set has for it. A layer can exceed it, where carry-save adders spare
// popcounts.

#pragma once

#include <cstddef>

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn {

// A file per instruction set. Runs about `steps` * 8 vectors of xor-popcount-add; returns how many bits went through
// them, each of which is one binary multiply-accumulate.
#define RBNN_KERNEL(name, features) double peak_##name(std::size_t steps);
#include "kernels/binary_conv2d/kernels.inc"

// Times the loop of a kernel's instruction set on the calling thread, for about a quarter of a millisecond: short enough
// that an interruption spoils few measurements of many. Returns binary multiply-accumulates a second.
double measure_popcount_peak(const Kernel& kernel);

}  // namespace rbnn
