#include "kernels/quant_conv2d/geometry.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/binary_conv2d/limits.h"
#include "kernels/checked.h"
#include "kernels/quant_conv2d/limits.h"

namespace rbnn {
namespace {

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument(sentence); }

template <std::size_t N>
void check_range(const char* name, const std::array<std::int64_t, N>& values, std::int64_t lowest) {
  for (const std::int64_t value : values) {
    if (value < lowest || value > kLargestSize) {
      refuse("attribute '" + std::string(name) + "' must hold integers from " + std::to_string(lowest) + " to " +
             std::to_string(kLargestSize) + ", but holds " + std::to_string(value));
    }
  }
}

void check_pixels(const std::array<std::int64_t, 2>& pool, const std::array<std::int64_t, 2>& conv) {
  const auto text = [](const std::array<std::int64_t, 2>& size) {
    return std::to_string(size[0]) + " x " + std::to_string(size[1]);
  };
  if (checked_product({pool[0], pool[1]}) > std::max(kMapPixels, checked_product({kMapGrowth, conv[0], conv[1]}))) {
    refuse("a pooled map of " + text(pool) + " is too large for a map of " + text(conv) +
           ": nearly all of it is padding (attribute 'pool_pads')");
  }
}

}  // namespace

void validate(const QuantAttributes& a) {
  validate(a.conv);
  check_range("mean_kernel", a.mean_kernel, 0);
  check_range("mean_strides", a.mean_strides, 1);
  check_range("pool_kernel", a.pool_kernel, 1);
  check_range("pool_strides", a.pool_strides, 1);
  check_range("pool_pads", a.pool_pads, 0);
  if (a.low < -kLargestActivation || a.low > 0 || a.high < 0 || a.high > kLargestActivation ||
      a.high - a.low > kLargestActivation) {
    refuse("attributes 'low' and 'high' must hold -255 <= low <= 0 <= high <= 255 with high - low <= 255, but hold " +
           std::to_string(a.low) + " and " + std::to_string(a.high));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (a.pool_pads[i] >= a.pool_kernel[i % 2]) {
      refuse("attribute 'pool_pads' (" + std::to_string(a.pool_pads[i]) + ") must be smaller than 'pool_kernel' (" +
             std::to_string(a.pool_kernel[i % 2]) + ")");
    }
  }
}

void validate(const FilterShape& shape, const QuantAttributes& a) {
  for (const std::int64_t size : {shape.outputs, shape.height, shape.width}) {
    if (size < 1 || size > kLargestSize) refuse("O, KH and KW of W must be at least 1 and below 2^31");
  }
  const std::int64_t largest = std::max({-a.low, a.high, std::int64_t{1}});
  const std::int64_t taps = checked_product({shape.height, shape.width, a.conv.channels / a.conv.groups});
  if (checked_product({taps, largest, kLargestWeight}) >= kIntegerLimit) {
    refuse("KH * KW * C / groups * max(-low, high, 1) * 128 must be below 2^31, so that int32 holds every sum");
  }
  validate(shape, a.conv);
}

Axis pool_axis(const QuantAttributes& a, std::size_t dimension) {
  return {a.pool_kernel[dimension], a.pool_strides[dimension], 1, a.pool_pads[dimension], a.pool_pads[2 + dimension]};
}

QuantExtents quant_extents(const QuantAttributes& a, std::size_t dimension, std::int64_t taps, std::int64_t x) {
  const std::size_t i = dimension;
  QuantExtents e{};
  e.x = x;
  if (x < 1 || x > kLargestSize) refuse("H and W of X must be at least 1 and below 2^31");
  e.window = a.mean_kernel[i] == 0 ? x : a.mean_kernel[i];
  if (e.window > x) {
    refuse("a mean over " + std::to_string(e.window) + " exceeds the map of " + std::to_string(x) +
           " (attribute 'mean_kernel')");
  }
  e.mean = (x - e.window) / a.mean_strides[i] + 1;
  e.conv = Axis{taps, a.conv.strides[i], a.conv.dilations[i], a.conv.pads[i], a.conv.pads[2 + i]}.output_size(e.mean);
  const std::int64_t span = e.conv + a.pool_pads[i] + a.pool_pads[2 + i] - a.pool_kernel[i];
  if (span < 0) {
    refuse("a pool window of " + std::to_string(a.pool_kernel[i]) + " exceeds the padded map of " +
           std::to_string(e.conv) + " + " + std::to_string(a.pool_pads[i] + a.pool_pads[2 + i]));
  }
  e.pool = span / a.pool_strides[i] + 1;
  return e;
}

QuantSizes::QuantSizes(const QuantAttributes& a, const FilterShape& shape, std::int64_t height, std::int64_t width) {
  const QuantExtents rows = quant_extents(a, 0, shape.height, height),
                     columns = quant_extents(a, 1, shape.width, width);
  x = {rows.x, columns.x};
  window = {rows.window, columns.window};
  mean = {rows.mean, columns.mean};
  conv = output_size(a.conv, shape, mean[0], mean[1]);  // which also bounds it
  pool = {rows.pool, columns.pool};
  check_pixels(pool, conv);
}

}  // namespace rbnn
