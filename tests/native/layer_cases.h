// Whole layers of random numbers, and running them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/binary_conv2d/plan.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "oracle.h"

namespace rbnn::test {

using Random = std::mt19937;

template <typename T, std::size_t N>
T pick(Random& random, const T (&choices)[N]) {
  return choices[random() % N];
}

// A nearly normal number, the same with every C++ library: the standard does not say how its distributions compute, and
// digest() must not differ. It is the sum of twelve uniform numbers, which is exact.
float normal(Random& random);

// A layer with a square kernel and a square map, a full residual, and no numbers yet.
Case make_case(std::int64_t channels, std::int64_t outputs, std::int64_t kernel, std::int64_t size, std::int64_t pad,
               std::int64_t samples = 1);

// Draws the case's tensors: nearly normal numbers.
void fill(Case& c, Random& random);

// Draws what GeneralBinaryConv2d has besides: one value or one per channel, some of them absent.
void fill_general(Case& c, Random& random);

std::string describe(Isa isa, const Case& c);

// Three threads, which take the floating-point environment of the one that calls them.
Parallel on_threads();

// The layer's outputs, its windows gathered in bands of so many bytes. Fails the test where memory around them is
// written.
std::vector<float> run(Isa isa, const Case& c, const Parallel& parallel, std::size_t window_budget = kWindowBudget);

// Equal but for the sign and payload of a NaN, which are not defined.
bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

// Compares each instruction set of this machine with the oracle: on one thread and on several, in one band, in bands of
// a few rows or of a part of a row, and in bands of one pixel.
void check(const Case& c);

}  // namespace rbnn::test
