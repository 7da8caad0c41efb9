// The peak that a kernel's speed is measured against: xor, popcount and add of each word, in registers only, with the
// instructions that an instruction set has for it. A layer can exceed it, where carry-save adders spare popcounts.
//
// A file per instruction set defines one function. It includes nothing but this header, other kernel.h and intrinsics,
// and keeps everything else in an anonymous namespace: it is compiled with flags that the rest of the library is not.

#pragma once

#include <cstddef>

namespace rbnn {

// Runs about `steps` * 8 vectors of xor-popcount-add; returns how many bits went through them, each of which is one
// binary multiply-accumulate.
using PopcountPeak = double (*)(std::size_t steps);

#define RBNN_KERNEL(isa) double popcount_peak_##isa(std::size_t steps);
#include "kernels/popcount_peak/kernels.inc"

}  // namespace rbnn
