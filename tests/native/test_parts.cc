// The parts of each kernel on their own, where a whole layer would blur what is wrong.

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "harness.h"
#include "kernels/binary_conv2d/select.h"
#include "kernels/bits.h"
#include "oracle.h"

namespace rbnn::test {

using Sizes = std::vector<std::size_t>;

RBNN_TEST(sum_rows_in_the_fixed_order) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> exponent(-30.0f, 30.0f);
  for (const KernelEntry& entry : all_kernels()) {
    if (!entry.available()) continue;
    for (const std::size_t length : Sizes{1, 2, 7, 15, 16, 17, 31, 32, 33, 100, 1000}) {
      for (const std::size_t rows : Sizes{1, 2, 3, 4, 5, 9}) {
        // Magnitudes so different that any other order gives another sum.
        std::vector<float> x(rows * length);
        for (float& value : x) value = std::exp2(exponent(random)) * (random() % 2 ? 1.0f : -1.0f);
        std::vector<double> sums(rows + 1, 7.0);
        entry.kernel->sum_rows(x.data(), rows, length, sums.data());
        for (std::size_t row = 0; row < rows; ++row) {
          double lane[16] = {};
          for (std::size_t j = 0; j < length; ++j) lane[j % 16] += static_cast<double>(x[row * length + j]);
          for (std::size_t half = 8; half >= 1; half /= 2) {
            for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
          }
          RBNN_CHECK(sums[row] == lane[0], std::string(entry.kernel->name) + " length " + std::to_string(length));
        }
        RBNN_CHECK(sums[rows] == 7.0, entry.kernel->name);
      }
    }
  }
}

RBNN_TEST(pack_signs_bit_by_bit) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {0.0f, -0.0f, nan, -nan, inf, -inf, 1e-45f, -1e-45f, 0.5f, -0.5f, 1.0f};
  std::mt19937 random(2);
  for (const KernelEntry& entry : all_kernels()) {
    if (!entry.available()) continue;
    for (const float threshold : {0.0f, -0.0f, 0.5f, nan, inf, -inf}) {
      for (std::size_t count = 1; count < 140; ++count) {
        std::vector<float> x(count);
        for (float& value : x) value = values[random() % 11];
        std::vector<Word> bits(words_for_bits(count) + 1, 0xabababab);
        entry.kernel->pack_signs(x.data(), count, threshold, bits.data());
        for (std::size_t i = 0; i < (bits.size() - 1) * kWordBits; ++i) {
          const bool expected = i < count && x[i] >= threshold;
          RBNN_CHECK(((bits[i / kWordBits] >> (i % kWordBits)) & 1) == expected,
                     std::string(entry.kernel->name) + " count " + std::to_string(count));
        }
        RBNN_CHECK(bits.back() == 0xabababab, entry.kernel->name);
      }
    }
  }
}

RBNN_TEST(gather_runs_bit_by_bit) {
  std::mt19937 random(3);
  for (const KernelEntry& entry : all_kernels()) {
    if (!entry.available()) continue;
    for (const std::size_t run_bits : Sizes{1, 31, 32, 33, 48, 64, 96, 97, 192, 480, 481, 512, 1000}) {
      for (const std::size_t step : Sizes{16, 32, 64, 33}) {
        const std::size_t unit = entry.kernel->triples ? 3 : 1, count = 5, position = step;
        const std::size_t run_words = (words_for_bits(run_bits) + unit - 1) / unit * unit;
        std::vector<Word> bits(words_for_bits(position + (count - 1) * step + run_bits) + 1);
        for (Word& word : bits) word = static_cast<Word>(random());
        const std::size_t stride = run_words + 2;
        std::vector<Word> output(count * stride, 0xabababab);
        entry.kernel->gather_runs({bits.data(), position, step, count, run_bits, run_words, entry.kernel->triples,
                                   output.data(), stride});
        for (std::size_t i = 0; i < count; ++i) {
          for (std::size_t k = 0; k < stride; ++k) {
            Word expected = k < run_words ? 0 : 0xabababab;
            if (k < run_words) {  // the xor of the words of its triple up to this one
              for (std::size_t word = k / unit * unit; word <= k; ++word) {
                for (std::size_t b = word * 32; b < word * 32 + 32 && b < run_bits; ++b) {
                  const std::size_t from = position + i * step + b;
                  expected ^= ((bits[from / 32] >> (from % 32)) & 1) << (b % 32);
                }
              }
            }
            RBNN_CHECK(output[i * stride + k] == expected,
                       std::string(entry.kernel->name) + " run of " + std::to_string(run_bits) + " bits");
          }
        }
      }
    }
  }
}

}  // namespace rbnn::test
