#include <limits>
#include <random>
#include <string>
#include <vector>

#include "harness.h"
#include "kernels/sign_packing/sign_packing.h"

namespace rbnn::test {

RBNN_TEST(pack_signs_bit_by_bit) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {0.0f, -0.0f, nan, -nan, inf, -inf, 1e-45f, -1e-45f, 0.5f, -0.5f, 1.0f};
  std::mt19937 random(2);
  for (const auto& entry : sign_packing_kernels()) {
    if (!entry.available()) continue;
    for (const float threshold : {0.0f, -0.0f, 0.5f, nan, inf, -inf}) {
      for (std::size_t count = 1; count < 140; ++count) {
        std::vector<float> x(count);
        for (float& value : x) value = values[random() % 11];
        std::vector<Word> bits(words_for_bits(count) + 1, 0xabababab);
        entry.kernel.one(x.data(), count, threshold, bits.data());
        for (std::size_t i = 0; i < (bits.size() - 1) * kWordBits; ++i) {
          const bool expected = i < count && x[i] >= threshold;
          RBNN_CHECK(((bits[i / kWordBits] >> (i % kWordBits)) & 1) == expected,
                     std::string(entry.name()) + " count " + std::to_string(count));
        }
        RBNN_CHECK(bits.back() == 0xabababab, entry.name());
      }
    }
  }
}

RBNN_TEST(pack_signs_with_a_threshold_for_each) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {0.0f, -0.0f, nan, -nan, inf, -inf, 1e-45f, -1e-45f, 0.5f, -0.5f, 1.0f};
  std::mt19937 random(3);
  for (const auto& entry : sign_packing_kernels()) {
    if (!entry.available()) continue;
    for (std::size_t count = 1; count < 140; ++count) {
      std::vector<float> x(count), thresholds(count);
      for (float& value : x) value = values[random() % 11];
      for (float& value : thresholds) value = values[random() % 11];
      std::vector<Word> bits(words_for_bits(count) + 1, 0xabababab);
      entry.kernel.each(x.data(), count, thresholds.data(), bits.data());
      for (std::size_t i = 0; i < (bits.size() - 1) * kWordBits; ++i) {
        const bool expected = i < count && x[i] >= thresholds[i];
        RBNN_CHECK(((bits[i / kWordBits] >> (i % kWordBits)) & 1) == expected,
                   std::string(entry.name()) + " count " + std::to_string(count));
      }
      RBNN_CHECK(bits.back() == 0xabababab, entry.name());
    }
  }
}

}  // namespace rbnn::test
