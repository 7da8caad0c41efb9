// docs/ops/QuantConv2d.md once more, as loops over numbers. It shares nothing with the kernels but the attributes'
// struct, so an error there cannot hide here.

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/quant_conv2d/geometry.h"

namespace rbnn::test {

struct QuantCase {
  QuantAttributes attributes;
  FilterShape filter;
  std::int64_t samples, height, width;
  enum class Residual { kAbsent, kOne, kFull } residual;

  std::vector<float> x, scale, bias, r;
  float factor;
  std::vector<std::int8_t> w;

  // Height and width; below 1 where a kernel or a window does not fit.
  std::array<std::int64_t, 2> mean_size() const, conv_size() const, pool_size() const;
  bool fits() const;
};

std::vector<float> quant_conv2d(const QuantCase& c);

}  // namespace rbnn::test
