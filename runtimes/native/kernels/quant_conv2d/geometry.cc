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

std::string size_text(const std::array<std::int64_t, 2>& size) {
  return std::to_string(size[0]) + " x " + std::to_string(size[1]);
}

std::array<std::int64_t, 2> mean_window(const QuantAttributes& a, const std::array<std::int64_t, 2>& x) {
  return {a.mean_kernel[0] == 0 ? x[0] : a.mean_kernel[0], a.mean_kernel[1] == 0 ? x[1] : a.mean_kernel[1]};
}

std::array<std::int64_t, 2> mean_size(const QuantAttributes& a, const std::array<std::int64_t, 2>& x,
                                      const std::array<std::int64_t, 2>& window) {
  for (const std::int64_t size : x) {
    if (size < 1 || size > kLargestSize) refuse("H and W of X must be at least 1 and below 2^31");
  }
  if (window[0] > x[0] || window[1] > x[1]) {
    refuse("a mean over " + size_text(window) + " exceeds the map of " + size_text(x));
  }
  return {(x[0] - window[0]) / a.mean_strides[0] + 1, (x[1] - window[1]) / a.mean_strides[1] + 1};
}

std::array<std::int64_t, 2> pool_size(const QuantAttributes& a, const std::array<std::int64_t, 2>& conv) {
  std::array<std::int64_t, 2> size{};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t span = conv[i] + a.pool_pads[i] + a.pool_pads[2 + i] - a.pool_kernel[i];
    if (span < 0) {
      refuse("a pool window of " + std::to_string(a.pool_kernel[i]) + " exceeds the padded map of " +
             std::to_string(conv[i]) + " + " + std::to_string(a.pool_pads[i] + a.pool_pads[2 + i]));
    }
    size[i] = span / a.pool_strides[i] + 1;
  }
  const std::int64_t pixels = checked_product({size[0], size[1]});
  if (pixels > std::max(kMapPixels, checked_product({kMapGrowth, conv[0], conv[1]}))) {
    refuse("a pooled map of " + size_text(size) + " is too large for a map of " + size_text(conv) +
           ": nearly all of it is padding (attribute 'pool_pads')");
  }
  return size;
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
  const std::int64_t largest = std::max(-a.low, a.high);
  const std::int64_t taps = checked_product({shape.height, shape.width, a.conv.channels / a.conv.groups});
  if (checked_product({taps, largest, kLargestWeight}) >= kIntegerLimit) {
    refuse("KH * KW * C / groups * max(-low, high) * 128 must be below 2^31, so that int32 holds every sum");
  }
  validate(shape, a.conv);
}

Axis pool_axis(const QuantAttributes& a, std::size_t dimension) {
  return {a.pool_kernel[dimension], a.pool_strides[dimension], 1, a.pool_pads[dimension], a.pool_pads[2 + dimension]};
}

QuantSizes::QuantSizes(const QuantAttributes& a, const FilterShape& shape, std::int64_t height, std::int64_t width)
    : x{height, width},
      window(mean_window(a, x)),
      mean(mean_size(a, x, window)),
      conv(output_size(a.conv, shape, mean[0], mean[1])),
      pool(pool_size(a, conv)) {}

}  // namespace rbnn
