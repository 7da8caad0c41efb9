// NEON: one row at a time, in eight vectors of two float64.

#include <arm_neon.h>

#include "kernels/row_sums/kernel.h"

namespace rbnn {
namespace {

// The sum of one row: eight chains of additions, as many as an addition's latency times two pipes.
double sum_row(const float* x, std::size_t length) {
  float64x2_t lane[8];
  for (float64x2_t& pair : lane) pair = vdupq_n_f64(0);
  const auto add = [&lane](const float* from) {
    for (std::size_t i = 0; i < 4; ++i) {
      const float32x4_t four = vld1q_f32(from + 4 * i);
      lane[2 * i] = vaddq_f64(lane[2 * i], vcvt_f64_f32(vget_low_f32(four)));
      lane[2 * i + 1] = vaddq_f64(lane[2 * i + 1], vcvt_high_f64_f32(four));
    }
  };
  std::size_t i = 0;
  for (; i + 16 <= length; i += 16) add(x + i);
  // Lanes behind the row's end add +0, which changes nothing: a lane starts at +0 and so is never -0.
  float rest[16] = {};
  for (std::size_t j = i; j < length; ++j) rest[j - i] = x[j];
  add(rest);
  for (std::size_t half = 4; half != 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lane[l] = vaddq_f64(lane[l], lane[l + half]);
  }
  return vgetq_lane_f64(lane[0], 0) + vgetq_lane_f64(lane[0], 1);
}

}  // namespace

void row_sums_neon(const float* x, std::size_t rows, std::size_t length, double* sums) {
  for (std::size_t row = 0; row < rows; ++row) sums[row] = sum_row(x + row * length, length);
}

}  // namespace rbnn
