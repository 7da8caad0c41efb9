// Code that the two files of the NEON kernel share.

#pragma once

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn::neon {

constexpr std::size_t kLanes = 8;

void multiply(const Product& product);
void multiply_bits(const Product& product);

}  // namespace rbnn::neon
