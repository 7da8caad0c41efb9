// ConvKernel::sum_windows: a popcount of each window, once for all output channels.
//
// In an unnamed namespace, so that each kernel's file keeps a copy of its own, compiled with its own flags: with those
// of AVX2 and of AVX-512 a popcount is one instruction, on Arm64 it is three of NEON.

#pragma once

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn {
namespace {

inline std::int32_t popcount(Word v) {
#if defined(__POPCNT__) || defined(__aarch64__)
  return __builtin_popcount(v);
#else
  v -= (v >> 1) & 0x55555555u;
  v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
  return static_cast<std::int32_t>((((v + (v >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24);  // at most 32
#endif
}

template <bool kTriples>
inline std::int32_t popcount_of_run(const Word* x, std::size_t words) {
  std::int32_t count = 0;
  if (kTriples) {  // a, a ^ b, a ^ b ^ c
    for (std::size_t k = 0; k < words; k += 3) {
      count += popcount(x[k]) + popcount(x[k] ^ x[k + 1]) + popcount(x[k + 1] ^ x[k + 2]);
    }
  } else {
    for (std::size_t k = 0; k < words; ++k) count += popcount(x[k]);
  }
  return count;
}

template <bool kTriples>
void sum_windows(const Product& p, float* sums) {
  const std::size_t words = kTriples ? p.run_words : words_for_bits(p.run_bits);
  for (std::size_t index = p.pixel_begin; index < p.pixel_end; ++index) {
    const Pixel pixel = p.pixels[index % p.pixels_per_sample];
    const Word* x = p.input + index / p.pixels_per_sample * p.sample_stride + pixel.input;
    std::int32_t ones = 0;
    for (std::size_t run = 0; run < p.runs; ++run, x += p.run_stride) {
      ones += popcount_of_run<kTriples>(x, words);
    }
    sums[index] = static_cast<float>(2 * ones - p.inside[pixel.border]);  // below 2^24: exact
  }
}

}  // namespace
}  // namespace rbnn
