#include "oracle.h"

#include <cstddef>

namespace rbnn::test {
namespace {

std::int64_t extent(std::int64_t size, std::int64_t pads, std::int64_t dilation, std::int64_t taps,
                    std::int64_t stride) {
  const std::int64_t span = size + pads - dilation * (taps - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

template <typename T>
const T& at(const std::vector<T>& values, std::int64_t index) {
  return values.at(static_cast<std::size_t>(index));
}

}  // namespace

std::int64_t Case::output_height() const {
  return extent(height, attributes.pads[0] + attributes.pads[2], attributes.dilations[0], filter.height,
                attributes.strides[0]);
}

std::int64_t Case::output_width() const {
  return extent(width, attributes.pads[1] + attributes.pads[3], attributes.dilations[1], filter.width,
                attributes.strides[1]);
}

float sample_mean(const float* x, std::int64_t rows, std::int64_t length) {
  double total = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    double lane[16] = {};
    for (std::int64_t j = 0; j < length; ++j) lane[j % 16] += static_cast<double>(x[row * length + j]);
    for (int half = 8; half >= 1; half /= 2) {
      for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
    total += lane[0];
  }
  return static_cast<float>(total / static_cast<double>(rows * length));
}

std::vector<float> binary_conv2d(const Case& c) {
  const Attributes& a = c.attributes;
  const std::int64_t C = a.channels, O = c.filter.outputs, KH = c.filter.height, KW = c.filter.width;
  const std::int64_t group_channels = C / a.groups, group_outputs = O / a.groups, bytes = (group_channels + 7) / 8;
  const std::int64_t OH = c.output_height(), OW = c.output_width();
  std::vector<float> y;
  for (std::int64_t n = 0; n < c.samples; ++n) {
    const float* const x = c.x.data() + n * c.height * c.width * C;
    const float t = a.threshold == Threshold::kZero ? 0.0f : sample_mean(x, c.height, c.width * C);
    for (std::int64_t p = 0; p < OH; ++p) {
      for (std::int64_t q = 0; q < OW; ++q) {
        for (std::int64_t o = 0; o < O; ++o) {
          const std::int64_t first_channel = o / group_outputs * group_channels;
          std::int64_t acc = 0;
          for (std::int64_t i = 0; i < KH; ++i) {
            for (std::int64_t j = 0; j < KW; ++j) {
              const std::int64_t h = p * a.strides[0] + i * a.dilations[0] - a.pads[0];
              const std::int64_t w = q * a.strides[1] + j * a.dilations[1] - a.pads[1];
              if (h < 0 || h >= c.height || w < 0 || w >= c.width) continue;
              for (std::int64_t channel = 0; channel < group_channels; ++channel) {
                const float value = x[(h * c.width + w) * C + first_channel + channel];
                const std::uint8_t byte = at(c.w, ((o * KH + i) * KW + j) * bytes + channel / 8);
                const int weight = (byte >> (channel % 8)) & 1 ? 1 : -1;
                acc += value >= t ? weight : -weight;
              }
            }
          }
          const std::size_t index = y.size();
          // volatile: each step is rounded, whatever the compiler would like to fuse
          volatile float value = static_cast<float>(acc) * at(c.scale, o);
          value = value + at(c.bias, o);
          value = value + (c.residual == Case::Residual::kAbsent ? 0.0f
                           : c.residual == Case::Residual::kOne  ? c.r.at(0)
                                                                 : c.r.at(index));
          float result = value;
          if (a.activation == Activation::kHardtanh && result < -1) result = -1;
          if (a.activation == Activation::kHardtanh && result > 1) result = 1;
          if (a.activation == Activation::kRelu && result < 0) result = 0;
          y.push_back(result);
        }
      }
    }
  }
  return y;
}

}  // namespace rbnn::test
