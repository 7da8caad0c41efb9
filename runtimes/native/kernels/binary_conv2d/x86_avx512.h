// Code that the files of the AVX-512 kernel share.

#pragma once

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/x86_avx512.h"

namespace rbnn::avx512 {

void multiply(const Product& product);
void multiply_bits(const Product& product);

// The same for windows of few words; false, and nothing done, for all others.
template <bool kBits>
bool multiply_narrow(const Product& product);

}  // namespace rbnn::avx512
