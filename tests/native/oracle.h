// docs/ops/BinaryConv2d.md and GeneralBinaryConv2d.md once more, as loops over numbers. It shares nothing with the
// kernels but the attributes' struct, so an error there cannot hide here.

#pragma once

#include <cstdint>
#include <vector>

#include "kernels/binary_conv2d/geometry.h"

namespace rbnn::test {

struct Case {
  Attributes attributes;
  FilterShape filter;
  std::int64_t samples, height, width;
  enum class Residual { kAbsent, kOne, kFull } residual;

  std::vector<float> x, scale, bias, r;
  // Of GeneralBinaryConv2d: empty for an absent input, of one element, or one per channel; border: [KH, KW, O].
  std::vector<float> thresholds, window_sum, neg, pos, post, border;
  std::vector<std::uint8_t> w;

  std::int64_t output_height() const;  // below 1 where the kernel does not fit
  std::int64_t output_width() const;
};

// The mean of `count` rows of `length` values, in the order that the specification fixes.
float sample_mean(const float* x, std::int64_t rows, std::int64_t length);

std::vector<float> binary_conv2d(const Case& c);

}  // namespace rbnn::test
