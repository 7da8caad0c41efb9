#include "kernels/binary_conv2d/geometry.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/binary_conv2d/limits.h"
#include "kernels/checked.h"

namespace rbnn {
namespace {

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument(sentence); }

template <std::size_t N>
void check_range(const char* name, const std::array<std::int64_t, N>& values, std::int64_t lowest,
                 std::int64_t highest = kLargestSize) {
  for (const std::int64_t value : values) {
    if (value < lowest || value > highest) {
      refuse("attribute '" + std::string(name) + "' must hold integers from " + std::to_string(lowest) + " to " +
             std::to_string(highest) + ", but holds " + std::to_string(value));
    }
  }
}

}  // namespace

void validate(const Attributes& a) {
  check_range<1>("channels", {a.channels}, 1);
  check_range<1>("groups", {a.groups}, 1);
  check_range("strides", a.strides, 1);
  check_range("pads", a.pads, 0);
  check_range("dilations", a.dilations, 1);
  check_range("pool", a.pool, 1);
  check_range<1>("pad_value", {a.pad_value}, -1, 1);
  if (a.channels % a.groups != 0) {
    refuse("attribute 'groups' (" + std::to_string(a.groups) + ") must divide 'channels' (" +
           std::to_string(a.channels) + ")");
  }
}

void validate(const FilterShape& shape, const Attributes& a) {
  for (const std::int64_t size : {shape.outputs, shape.height, shape.width}) {
    if (size < 1 || size > kLargestSize) refuse("O, KH and KW of W must be at least 1 and below 2^31");
  }
  if (shape.outputs % a.groups != 0) {
    refuse("attribute 'groups' (" + std::to_string(a.groups) + ") must divide the " + std::to_string(shape.outputs) +
           " output channels of W");
  }
  if (checked_product({shape.height, shape.width, a.channels / a.groups}) >= kSumLimit) {
    refuse("KH * KW * C / groups must be below 2^24, so that float32 holds every sum exactly");
  }
}

std::int64_t Axis::output_size(std::int64_t size) const {
  if (size < 1 || size > kLargestSize) refuse("H and W of X must be at least 1 and below 2^31");
  const std::int64_t span = size + pad_before + pad_after - dilation * (taps - 1) - 1;
  if (span < 0) {
    refuse("a kernel of " + std::to_string(taps) + " taps dilated by " + std::to_string(dilation) +
           " exceeds the padded map of " + std::to_string(size) + " + " + std::to_string(pad_before + pad_after));
  }
  return span / stride + 1;
}

Axis::Taps Axis::inside(std::int64_t position, std::int64_t size) const {
  const std::int64_t first = origin(position);
  if (first >= size) return {0, 0};
  const std::int64_t begin = first >= 0 ? 0 : (-first + dilation - 1) / dilation;
  const std::int64_t end = std::min(taps, (size - 1 - first) / dilation + 1);
  return begin < end ? Taps{begin, end} : Taps{0, 0};
}

std::array<std::int64_t, 2> output_size(const Attributes& attributes, const FilterShape& shape, std::int64_t height,
                                        std::int64_t width) {
  const std::array<std::int64_t, 2> size = {vertical_axis(attributes, shape).output_size(height),
                                            horizontal_axis(attributes, shape).output_size(width)};
  const std::int64_t pixels = checked_product({size[0], size[1]});
  if (pixels > std::max(kMapPixels, checked_product({kMapGrowth, height, width}))) {
    refuse("an output map of " + std::to_string(size[0]) + " x " + std::to_string(size[1]) +
           " is too large for an input map of " + std::to_string(height) + " x " + std::to_string(width) +
           ": nearly all of it is padding (attribute 'pads')");
  }
  return size;
}

std::array<std::int64_t, 2> pooled_size(const Attributes& attributes, const std::array<std::int64_t, 2>& size) {
  const auto& pool = attributes.pool;
  if (pool[0] > size[0] || pool[1] > size[1]) {
    refuse("a pool of " + std::to_string(pool[0]) + " x " + std::to_string(pool[1]) + " exceeds the output map of " +
           std::to_string(size[0]) + " x " + std::to_string(size[1]) + " (attribute 'pool')");
  }
  return {size[0] / pool[0], size[1] / pool[1]};
}

Axis vertical_axis(const Attributes& a, const FilterShape& shape) {
  return {shape.height, a.strides[0], a.dilations[0], a.pads[0], a.pads[2]};
}

Axis horizontal_axis(const Attributes& a, const FilterShape& shape) {
  return {shape.width, a.strides[1], a.dilations[1], a.pads[1], a.pads[3]};
}

}  // namespace rbnn
