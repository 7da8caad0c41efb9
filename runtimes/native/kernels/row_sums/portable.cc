// Plain C++: sixteen sums that a compiler can keep in the vectors of the target's baseline.

#include "kernels/row_sums/kernel.h"

namespace rbnn {

void row_sums_portable(const float* x, std::size_t rows, std::size_t length, double* sums) {
  for (std::size_t row = 0; row < rows; ++row, x += length) {
    double lane[16] = {};
    std::size_t i = 0;
    for (; i + 16 <= length; i += 16) {
      for (std::size_t l = 0; l < 16; ++l) lane[l] += static_cast<double>(x[i + l]);
    }
    for (std::size_t l = 0; i + l < length; ++l) lane[l] += static_cast<double>(x[i + l]);
    for (std::size_t half = 8; half != 0; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) lane[l] += lane[l + half];
    }
    sums[row] = lane[0];
  }
}

}  // namespace rbnn
