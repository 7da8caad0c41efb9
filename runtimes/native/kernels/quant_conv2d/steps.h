// The float steps as plain loops, which compilers vectorise with each file's flags. docs/ops/QuantConv2d.md fixes the
// order of all of them.
//
// In an unnamed namespace, so that each kernel's file keeps a copy of its own. Products and sums are never fused: all
// files are compiled with -ffp-contract=off.

#pragma once

#include <cstring>

#include "kernels/quant_conv2d/kernel.h"

namespace rbnn {
namespace {

// The integer nearest to a v of at most 2^22, ties to even: the sum's last bit is worth 1.
inline std::int32_t nearest(float v) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  const float shifted = v + kShift;
  std::int32_t bits, zero;
  std::memcpy(&bits, &shifted, sizeof(bits));
  std::memcpy(&zero, &kShift, sizeof(zero));
  return bits - zero;
}

template <typename Stored>
inline Stored stored_of(const Quantisation& q, float x) {
  const float v = x * q.factor;
  const float v1 = v > q.low ? v : q.low;
  const float v2 = v1 < q.high ? v1 : q.high;
  return static_cast<Stored>(nearest(v2) - q.offset);
}

template <typename Stored>
void quantise_values(const Quantisation& q, const float* x, std::size_t count, void* stored) {
  const Quantisation constants = q;
  Stored* const to = static_cast<Stored*>(stored);
  for (std::size_t i = 0; i < count; ++i) to[i] = stored_of<Stored>(constants, x[i]);
}

template <typename Stored>
void quantise_each_plane(const Quantisation& q, const Planes& p, void* stored) {
  const Quantisation constants = q;
  for (std::size_t c = 0; c < p.channels; ++c) {
    Stored* to = static_cast<Stored*>(stored) + c;
    const float* x = p.x + c * p.plane;
    for (std::size_t i = 0; i < p.count; ++i) to[i * p.channels] = stored_of<Stored>(constants, x[i * p.step]);
  }
}

inline float clamped(float y, float lower, float upper) {
  const float at_least = y < lower ? lower : y;
  return at_least > upper ? upper : at_least;
}

inline void pool_row(const PoolRow& p) {
  for (std::size_t v = 0; v < p.count; ++v) {
    const std::size_t first = v * p.stride, begin = first > p.pad ? first - p.pad : 0;
    const std::size_t end = first + p.taps - p.pad < p.width ? first + p.taps - p.pad : p.width;
    float* const out = p.output + v * p.output_stride;
    std::memcpy(out, p.rows[0] + begin * p.stride_floats, p.channels * sizeof(float));
    for (std::size_t r = 0; r < p.row_count; ++r) {
      for (std::size_t column = begin; column < end; ++column) {
        const float* const y = p.rows[r] + column * p.stride_floats;
        // The first element against itself changes nothing.
        for (std::size_t c = 0; c < p.channels; ++c) out[c] = y[c] > out[c] ? y[c] : out[c];
      }
    }
  }
}

inline void mean_of_window(const MeanWindow& m) {
  double* const sums = m.sums;
  for (std::size_t c = 0; c < m.channels; ++c) sums[c] = 0.0;
  for (std::size_t r = 0; r < m.rows; ++r) {
    for (std::size_t k = 0; k < m.columns; ++k) {
      const float* const x = m.x + r * m.row + k * m.column;
      if (m.channel == 1) {
        for (std::size_t c = 0; c < m.channels; ++c) sums[c] += static_cast<double>(x[c]);
      } else {
        for (std::size_t c = 0; c < m.channels; ++c) sums[c] += static_cast<double>(x[c * m.channel]);
      }
    }
  }
  const auto count = static_cast<double>(m.rows * m.columns);
  for (std::size_t c = 0; c < m.channels; ++c) m.output[c] = static_cast<float>(sums[c] / count);
}

// The product with int16 activations and weights, a word of one element: [word][lane].
template <std::size_t kLanes>
void multiply_shorts(const QuantProduct& p) {
  const std::size_t panels = (p.channels + kLanes - 1) / kLanes;
  for (std::size_t panel = 0; panel < panels; ++panel) {
    const std::size_t first = panel * kLanes, left = p.channels - first, lanes = left < kLanes ? left : kLanes;
    for (std::size_t i = 0; i < p.pixels; ++i) {
      std::int32_t acc[kLanes];
      for (std::size_t l = 0; l < kLanes; ++l) acc[l] = p.start[first + l];
      const auto* w = reinterpret_cast<const std::int16_t*>(p.panels + panel * p.panel_bytes);
      for (std::size_t r = 0; r < p.runs; ++r) {
        const std::uint8_t* const window = p.rows[r] + i * p.pixel_bytes;
        for (std::size_t k = 0; k < p.run_words; ++k, w += kLanes) {
          std::int16_t x;
          std::memcpy(&x, window + k * sizeof(x), sizeof(x));
          for (std::size_t l = 0; l < kLanes; ++l) acc[l] += std::int32_t{x} * std::int32_t{w[l]};
        }
      }
      const float* const residual = p.residual + i * p.residual_stride + first;
      float* const output = p.output + i * p.output_stride + first;
      for (std::size_t l = 0; l < lanes; ++l) {
        float y = static_cast<float>(acc[l]) * p.scale[first + l];
        y += p.bias[first + l];
        y += residual[l];
        output[l] = clamped(y, p.lower, p.upper);
      }
    }
  }
}

}  // namespace
}  // namespace rbnn
