// What the two files of the AVX-512 kernel share.

#pragma once

#include <immintrin.h>

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn::avx512 {

constexpr std::size_t kLanes = 16;

constexpr __mmask16 first_lanes(std::size_t count) {
  return static_cast<__mmask16>(count >= kLanes ? 0xffffu : (1u << count) - 1);
}

void multiply(const Product& product);

}  // namespace rbnn::avx512
