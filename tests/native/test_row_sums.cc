#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "harness.h"
#include "kernels/row_sums/row_sums.h"

namespace rbnn::test {

using Sizes = std::vector<std::size_t>;

RBNN_TEST(row_sums_in_the_fixed_order) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> exponent(-30.0f, 30.0f);
  for (const auto& entry : row_sums_kernels()) {
    if (!entry.available()) continue;
    for (const std::size_t length : Sizes{1, 2, 7, 15, 16, 17, 31, 32, 33, 100, 1000}) {
      for (const std::size_t rows : Sizes{1, 2, 3, 4, 5, 9}) {
        // Magnitudes so different that any other order gives another sum.
        std::vector<float> x(rows * length);
        for (float& value : x) value = std::exp2(exponent(random)) * (random() % 2 ? 1.0f : -1.0f);
        std::vector<double> sums(rows + 1, 7.0);
        entry.kernel(x.data(), rows, length, sums.data());
        for (std::size_t row = 0; row < rows; ++row) {
          double lane[16] = {};
          for (std::size_t j = 0; j < length; ++j) lane[j % 16] += static_cast<double>(x[row * length + j]);
          for (std::size_t half = 8; half >= 1; half /= 2) {
            for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
          }
          RBNN_CHECK(sums[row] == lane[0], std::string(entry.name()) + " length " + std::to_string(length));
        }
        RBNN_CHECK(sums[rows] == 7.0, entry.name());
      }
    }
  }
}

}  // namespace rbnn::test
