// Code that the files of the NEON kernel share.

#pragma once

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn::neon {

constexpr std::size_t kLanes = 8;

// Three 64-bit words of a window or of an output channel's weights, a, b and c: 192 bits. What the product wants of a
// triple is below, and of a panel of weights it is [triple][vector of two channels][word of the triple][channel].
constexpr std::size_t kTripleWords = 6;
constexpr std::size_t kPanelTriple = kTripleWords * kLanes;  // words of a panel

// How many of a triple's popcounts of ~s stand for none: popcount(s) is 64 less them.
constexpr std::int32_t kUncounted = 64;

void multiply(const Product& product);
void multiply_bits(const Product& product);

}  // namespace rbnn::neon
