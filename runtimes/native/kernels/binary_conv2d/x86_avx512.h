// Code that the two files of the AVX-512 kernel share.

#pragma once

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/x86_avx512.h"

namespace rbnn::avx512 {

void multiply(const Product& product);

}  // namespace rbnn::avx512
