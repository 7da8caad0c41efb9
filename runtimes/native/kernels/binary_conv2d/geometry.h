// Attributes of BinaryConv2d and GeneralBinaryConv2d, and where their taps fall. docs/ops/ is the specification.

#pragma once

#include <array>
#include <cstdint>

namespace rbnn {

// The last ones of these are GeneralBinaryConv2d's alone; PackedBinaryConv2d has none of them.
enum class Threshold { kSampleMean, kZero, kPerChannel };
enum class Activation { kNone, kHardtanh, kRelu, kPrelu };
enum class ResidualPlace { kBeforeActivation, kAfterActivation };

struct Attributes {
  std::int64_t channels = 0;
  std::array<std::int64_t, 2> strides = {1, 1};     // vertical, horizontal
  std::array<std::int64_t, 4> pads = {0, 0, 0, 0};  // top, left, bottom, right
  std::array<std::int64_t, 2> dilations = {1, 1};   // vertical, horizontal
  std::int64_t groups = 1;
  Threshold threshold = Threshold::kSampleMean;
  Activation activation = Activation::kNone;
  // Of GeneralBinaryConv2d; the defaults are what BinaryConv2d does.
  ResidualPlace residual = ResidualPlace::kBeforeActivation;
  std::int64_t pad_value = 0;
  // Of PackedBinaryConv2d: height and width of the windows of its max pool.
  std::array<std::int64_t, 2> pool = {1, 1};
};

struct FilterShape {
  std::int64_t outputs = 0, height = 0, width = 0;  // O, KH, KW
};

// Throw std::invalid_argument, in a sentence, where a value is outside its domain.
void validate(const Attributes& attributes);
void validate(const FilterShape& shape, const Attributes& attributes);

// One spatial axis of the convolution.
struct Axis {
  std::int64_t taps, stride, dilation, pad_before, pad_after;

  // Size of the output for an input of `size`. Throws std::invalid_argument where it would be below 1.
  std::int64_t output_size(std::int64_t size) const;

  // Where tap 0 of output position `position` falls; negative in the padding.
  std::int64_t origin(std::int64_t position) const { return position * stride - pad_before; }

  struct Taps {
    std::int64_t begin, end;  // begin == end: none
  };
  // The taps of output position `position` that fall inside an input of `size`: always one range.
  Taps inside(std::int64_t position, std::int64_t size) const;
};

// OH and OW of an input map of this size. Throws std::invalid_argument where the kernel exceeds the padded map, or
// where the output map is so much larger than the input map that it is nearly all padding (docs/ops/BinaryConv2d.md,
// Errors).
std::array<std::int64_t, 2> output_size(const Attributes& attributes, const FilterShape& shape, std::int64_t height,
                                        std::int64_t width);

// PH and PW of an output map of this size. Throws std::invalid_argument where the pool exceeds it.
std::array<std::int64_t, 2> pooled_size(const Attributes& attributes, const std::array<std::int64_t, 2>& size);

Axis vertical_axis(const Attributes& attributes, const FilterShape& shape);
Axis horizontal_axis(const Attributes& attributes, const FilterShape& shape);

}  // namespace rbnn
