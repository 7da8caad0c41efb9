#include <random>
#include <string>
#include <vector>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"

namespace rbnn::test {

using Sizes = std::vector<std::size_t>;

RBNN_TEST(gather_runs_bit_by_bit) {
  std::mt19937 random(3);
  for (const auto& entry : conv_kernels()) {
    if (!entry.available()) continue;
    for (const std::size_t run_bits : Sizes{1, 31, 32, 33, 48, 64, 96, 97, 192, 480, 481, 512, 1000}) {
      for (const std::size_t step : Sizes{16, 32, 64, 33, 8})
        for (const std::size_t count : Sizes{1, 5, 8, 9, 16, 37})
          for (const std::size_t gap : Sizes{0, 2}) {
            const std::size_t unit = entry.kernel->triples ? 3 : 1, position = step;
            const std::size_t run_words = (words_for_bits(run_bits) + unit - 1) / unit * unit;
            std::vector<Word> bits(words_for_bits(position + (count - 1) * step + run_bits) + 1);
            for (Word& word : bits) word = static_cast<Word>(random());
            const std::size_t stride = run_words + gap;
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
                           std::string(entry.name()) + " run of " + std::to_string(run_bits) + " bits");
              }
            }
          }
    }
  }
}

}  // namespace rbnn::test
