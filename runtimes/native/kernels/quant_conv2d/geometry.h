// Attributes of QuantConv2d, and the sizes of its maps. docs/ops/QuantConv2d.md is the specification.

#pragma once

#include <array>
#include <cstdint>

#include "kernels/binary_conv2d/geometry.h"

namespace rbnn {

enum class MapLayout { kChannelsFirst, kChannelsLast };

struct QuantAttributes {
  Attributes conv;  // of which it has channels, strides, pads, dilations, groups and activation
  MapLayout layout = MapLayout::kChannelsLast;
  std::array<std::int64_t, 2> mean_kernel = {1, 1};   // 0 is the whole extent
  std::array<std::int64_t, 2> mean_strides = {1, 1};  // vertical, horizontal
  std::int64_t low = -128, high = 127;
  std::array<std::int64_t, 2> pool_kernel = {1, 1};
  std::array<std::int64_t, 2> pool_strides = {1, 1};
  std::array<std::int64_t, 4> pool_pads = {0, 0, 0, 0};  // top, left, bottom, right

  bool has_mean() const {
    return mean_kernel[0] != 1 || mean_kernel[1] != 1 || mean_strides[0] != 1 || mean_strides[1] != 1;
  }
  bool has_pool() const {
    return pool_kernel[0] != 1 || pool_kernel[1] != 1 || pool_strides[0] != 1 || pool_strides[1] != 1;
  }
};

// Throw std::invalid_argument, in a sentence, where a value is outside its domain.
void validate(const QuantAttributes& attributes);
void validate(const FilterShape& shape, const QuantAttributes& attributes);

Axis pool_axis(const QuantAttributes& attributes, std::size_t dimension);

// Rows or columns of a layer's maps. Throws std::invalid_argument where a kernel or a window exceeds its map.
struct QuantExtents {
  std::int64_t x, window, mean, conv, pool;  // window: of the mean; pool: the output's
};
QuantExtents quant_extents(const QuantAttributes& attributes, std::size_t dimension, std::int64_t taps, std::int64_t x);

// Height and width of a layer's maps.
struct QuantSizes {
  std::array<std::int64_t, 2> x, window, mean, conv, pool;

  // Throws std::invalid_argument where a kernel or a window exceeds its map, or where nearly all of a map is padding.
  QuantSizes(const QuantAttributes& attributes, const FilterShape& shape, std::int64_t height, std::int64_t width);
};

}  // namespace rbnn
