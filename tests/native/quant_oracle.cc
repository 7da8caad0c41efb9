#include "quant_oracle.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace rbnn::test {
namespace {

std::int64_t extent(std::int64_t size, std::int64_t pads, std::int64_t kernel, std::int64_t stride) {
  const std::int64_t span = size + pads - kernel;
  return span < 0 ? 0 : span / stride + 1;
}

template <typename T>
const T& at(const std::vector<T>& values, std::int64_t index) {
  return values.at(static_cast<std::size_t>(index));
}

// Element (h, w, c) of sample n.
float element(const QuantCase& c, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t channel) {
  const std::int64_t C = c.attributes.conv.channels;
  return at(c.x, c.attributes.layout == MapLayout::kChannelsFirst ? ((n * C + channel) * c.height + h) * c.width + w
                                                                  : ((n * c.height + h) * c.width + w) * C + channel);
}

float mean(const QuantCase& c, std::int64_t n, std::int64_t u, std::int64_t v, std::int64_t channel) {
  const QuantAttributes& a = c.attributes;
  if (a.mean_kernel[0] == 1 && a.mean_kernel[1] == 1 && a.mean_strides[0] == 1 && a.mean_strides[1] == 1) {
    return element(c, n, u, v, channel);
  }
  const std::int64_t h = a.mean_kernel[0] == 0 ? c.height : a.mean_kernel[0];
  const std::int64_t w = a.mean_kernel[1] == 0 ? c.width : a.mean_kernel[1];
  double total = 0;
  for (std::int64_t i = 0; i < h; ++i) {
    for (std::int64_t j = 0; j < w; ++j) {
      total += static_cast<double>(element(c, n, u * a.mean_strides[0] + i, v * a.mean_strides[1] + j, channel));
    }
  }
  return static_cast<float>(total / static_cast<double>(h * w));
}

// The test's floating-point environment rounds to nearest even, as std::nearbyint does.
std::int64_t integer(const QuantCase& c, float m) {
  const auto low = static_cast<float>(c.attributes.low), high = static_cast<float>(c.attributes.high);
  volatile float v = m * c.factor;
  const float v1 = v > low ? v : low;
  const float v2 = v1 < high ? v1 : high;
  return static_cast<std::int64_t>(std::nearbyint(v2));
}

float activated(Activation activation, float y) {
  if (activation == Activation::kHardtanh) return y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y;
  if (activation == Activation::kRelu) return y < 0.0f ? 0.0f : y;
  return y;
}

}  // namespace

std::array<std::int64_t, 2> QuantCase::mean_size() const {
  const QuantAttributes& a = attributes;
  return {extent(height, 0, a.mean_kernel[0] == 0 ? height : a.mean_kernel[0], a.mean_strides[0]),
          extent(width, 0, a.mean_kernel[1] == 0 ? width : a.mean_kernel[1], a.mean_strides[1])};
}

std::array<std::int64_t, 2> QuantCase::conv_size() const {
  const Attributes& a = attributes.conv;
  return {extent(mean_size()[0], a.pads[0] + a.pads[2], a.dilations[0] * (filter.height - 1) + 1, a.strides[0]),
          extent(mean_size()[1], a.pads[1] + a.pads[3], a.dilations[1] * (filter.width - 1) + 1, a.strides[1])};
}

std::array<std::int64_t, 2> QuantCase::pool_size() const {
  const QuantAttributes& a = attributes;
  return {extent(conv_size()[0], a.pool_pads[0] + a.pool_pads[2], a.pool_kernel[0], a.pool_strides[0]),
          extent(conv_size()[1], a.pool_pads[1] + a.pool_pads[3], a.pool_kernel[1], a.pool_strides[1])};
}

bool QuantCase::fits() const {
  for (const auto& size : {mean_size(), conv_size(), pool_size()}) {
    if (size[0] < 1 || size[1] < 1) return false;
  }
  return true;
}

std::vector<float> quant_conv2d(const QuantCase& c) {
  const QuantAttributes& a = c.attributes;
  const std::int64_t C = a.conv.channels, O = c.filter.outputs, KH = c.filter.height, KW = c.filter.width;
  const std::int64_t group_channels = C / a.conv.groups, group_outputs = O / a.conv.groups;
  const auto [MH, MW] = c.mean_size();
  const auto [OH, OW] = c.conv_size();
  const auto [PH, PW] = c.pool_size();
  std::vector<float> result;
  for (std::int64_t n = 0; n < c.samples; ++n) {
    std::vector<std::int64_t> integers;
    for (std::int64_t u = 0; u < MH; ++u) {
      for (std::int64_t v = 0; v < MW; ++v) {
        for (std::int64_t k = 0; k < C; ++k) integers.push_back(integer(c, mean(c, n, u, v, k)));
      }
    }
    std::vector<float> map;
    for (std::int64_t p = 0; p < OH; ++p) {
      for (std::int64_t q = 0; q < OW; ++q) {
        for (std::int64_t o = 0; o < O; ++o) {
          std::int64_t acc = 0;
          for (std::int64_t i = 0; i < KH; ++i) {
            for (std::int64_t j = 0; j < KW; ++j) {
              const std::int64_t h = p * a.conv.strides[0] + i * a.conv.dilations[0] - a.conv.pads[0];
              const std::int64_t w = q * a.conv.strides[1] + j * a.conv.dilations[1] - a.conv.pads[1];
              if (h < 0 || h >= MH || w < 0 || w >= MW) continue;
              for (std::int64_t k = 0; k < group_channels; ++k) {
                acc += at(integers, (h * MW + w) * C + o / group_outputs * group_channels + k) *
                       at(c.w, ((o * KH + i) * KW + j) * group_channels + k);
              }
            }
          }
          const float r = c.residual == QuantCase::Residual::kAbsent ? 0.0f
                          : c.residual == QuantCase::Residual::kOne  ? c.r.at(0)
                                                                     : at(c.r, ((n * OH + p) * OW + q) * O + o);
          volatile float y = static_cast<float>(acc);  // volatile: each step rounds on its own
          y = y * at(c.scale, o);
          y = y + at(c.bias, o);
          y = y + r;
          map.push_back(activated(a.conv.activation, y));
        }
      }
    }
    for (std::int64_t p = 0; p < PH; ++p) {
      for (std::int64_t q = 0; q < PW; ++q) {
        for (std::int64_t o = 0; o < O; ++o) {
          bool first = true;
          float m = 0;
          for (std::int64_t i = 0; i < a.pool_kernel[0]; ++i) {
            for (std::int64_t j = 0; j < a.pool_kernel[1]; ++j) {
              const std::int64_t h = p * a.pool_strides[0] + i - a.pool_pads[0];
              const std::int64_t w = q * a.pool_strides[1] + j - a.pool_pads[1];
              if (h < 0 || h >= OH || w < 0 || w >= OW) continue;
              const float y = at(map, (h * OW + w) * O + o);
              if (first || y > m) m = y;
              first = false;
            }
          }
          result.push_back(m);
        }
      }
    }
  }
  return result;
}

}  // namespace rbnn::test
