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

// The value of one channel; the only element stands for all.
float of(const std::vector<float>& values, std::int64_t channel, float absent) {
  return values.empty() ? absent : at(values, values.size() == 1 ? 0 : channel);
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
    const float mean = a.threshold == Threshold::kSampleMean ? sample_mean(x, c.height, c.width * C) : 0.0f;
    for (std::int64_t p = 0; p < OH; ++p) {
      for (std::int64_t q = 0; q < OW; ++q) {
        for (std::int64_t o = 0; o < O; ++o) {
          const std::int64_t first_channel = o / group_outputs * group_channels;
          std::int64_t acc = 0, window = 0;
          volatile float border = 0;  // what the padded taps add
          bool padded = false;
          for (std::int64_t i = 0; i < KH; ++i) {
            for (std::int64_t j = 0; j < KW; ++j) {
              const std::int64_t h = p * a.strides[0] + i * a.dilations[0] - a.pads[0];
              const std::int64_t w = q * a.strides[1] + j * a.dilations[1] - a.pads[1];
              const bool inside = h >= 0 && h < c.height && w >= 0 && w < c.width;
              if (!inside && !c.border.empty()) {
                border = border + at(c.border, c.border.size() == 1 ? 0 : (i * KW + j) * O + o);
                padded = true;
              }
              for (std::int64_t channel = 0; channel < group_channels; ++channel) {
                const std::uint8_t byte = at(c.w, ((o * KH + i) * KW + j) * bytes + channel / 8);
                const int weight = (byte >> (channel % 8)) & 1 ? 1 : -1;
                std::int64_t sign = a.pad_value;
                if (inside) {
                  const std::int64_t in = first_channel + channel;
                  const float t = a.threshold == Threshold::kPerChannel ? of(c.thresholds, in, 0) : mean;
                  sign = x[(h * c.width + w) * C + in] >= t ? 1 : -1;
                }
                acc += sign * weight;
                window += sign;
              }
            }
          }
          const std::size_t index = y.size();
          // volatile: each step is rounded, whatever the compiler would like to fuse
          volatile float value = static_cast<float>(acc) * at(c.scale, o);
          value = value + at(c.bias, o);
          const float r = c.residual == Case::Residual::kAbsent ? 0.0f
                          : c.residual == Case::Residual::kOne  ? c.r.at(0)
                                                                : c.r.at(index);
          const bool before = a.residual == ResidualPlace::kBeforeActivation;
          value = value + (before ? r : 0.0f);
          if (padded) value = value + border;
          if (!c.window_sum.empty()) {
            volatile float product = static_cast<float>(window) * of(c.window_sum, o, 0);
            value = value + product;
          }
          if (a.activation == Activation::kPrelu) {
            value = value * (value < 0 ? of(c.neg, o, 0) : of(c.pos, o, 1));
            value = value + of(c.post, o, 0);
          }
          float result = value;
          if (a.activation == Activation::kHardtanh && result < -1) result = -1;
          if (a.activation == Activation::kHardtanh && result > 1) result = 1;
          if (a.activation == Activation::kRelu && result < 0) result = 0;
          value = result;
          if (!before) value = value + r;
          y.push_back(static_cast<float>(value));
        }
      }
    }
  }
  return y;
}

}  // namespace rbnn::test
