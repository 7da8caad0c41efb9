// Whole layers from bits to bits, every instruction set, against the oracle: every bit of every output.

#include <algorithm>
#include <cmath>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"
#include "layer_cases.h"

namespace rbnn::test {
namespace {

struct PackedCase {
  Case layer;  // its x are +1 and -1
  std::vector<std::uint8_t> x;
  std::vector<std::int32_t> thresholds;
};

std::int64_t packed(std::int64_t channels) { return (channels + 7) / 8; }

PackedCase fill_packed(Case c, Random& random) {
  c.residual = Case::Residual::kAbsent;
  c.attributes.threshold = Threshold::kZero;
  fill(c, random);
  c.scale.assign(c.scale.size(), 1.0f);
  c.bias.assign(c.bias.size(), 0.0f);
  const std::int64_t channels = c.attributes.channels;
  PackedCase result;
  for (std::int64_t pixel = 0; pixel < c.samples * c.height * c.width; ++pixel) {
    for (std::int64_t byte = 0; byte < packed(channels); ++byte) {
      // Bits behind the last channel are set at random too.
      const auto bits = static_cast<std::uint8_t>(random());
      result.x.push_back(bits);
      for (std::int64_t i = 0; i < 8 && 8 * byte + i < channels; ++i) {
        c.x[static_cast<std::size_t>(pixel * channels + 8 * byte + i)] = bits >> i & 1 ? 1.0f : -1.0f;
      }
    }
  }
  const double sums = static_cast<double>(channels / c.attributes.groups * c.filter.height * c.filter.width);
  for (std::int64_t o = 0; o < c.filter.outputs; ++o) {
    result.thresholds.push_back(static_cast<std::int32_t>(std::round(normal(random) * std::sqrt(sums))));
  }
  result.layer = std::move(c);
  return result;
}

std::vector<std::uint8_t> expected_bits(const PackedCase& c) {
  const std::vector<float> sums = binary_conv2d(c.layer);
  const auto& pool = c.layer.attributes.pool;
  const std::int64_t height = c.layer.output_height(), width = c.layer.output_width(), O = c.layer.filter.outputs;
  std::vector<std::uint8_t> y;
  for (std::int64_t n = 0; n < c.layer.samples; ++n) {
    for (std::int64_t p = 0; p < height / pool[0]; ++p) {
      for (std::int64_t q = 0; q < width / pool[1]; ++q) {
        std::vector<std::uint8_t> pixel(static_cast<std::size_t>(packed(O)));
        for (std::int64_t o = 0; o < O; ++o) {
          float most = -INFINITY;
          for (std::int64_t i = p * pool[0]; i < (p + 1) * pool[0]; ++i) {
            for (std::int64_t j = q * pool[1]; j < (q + 1) * pool[1]; ++j) {
              most = std::max(most, sums[static_cast<std::size_t>(((n * height + i) * width + j) * O + o)]);
            }
          }
          const bool passes = most >= static_cast<float>(c.thresholds[static_cast<std::size_t>(o)]);
          auto& byte = pixel[static_cast<std::size_t>(o / 8)];
          byte = static_cast<std::uint8_t>(byte | static_cast<unsigned>(passes) << o % 8);
        }
        y.insert(y.end(), pixel.begin(), pixel.end());
      }
    }
  }
  return y;
}

std::vector<std::uint8_t> run_packed(Isa isa, const PackedCase& c, std::size_t size, const Parallel& parallel,
                                     std::size_t window_budget = kWindowBudget) {
  const BinaryConv2d layer(isa, c.layer.attributes, c.layer.filter, c.layer.w.data(), window_budget);
  const auto plan = layer.plan(c.layer.height, c.layer.width);
  // Outputs between two guards; and every bit is written, whatever was there.
  constexpr std::size_t kGuard = 64;
  std::vector<std::uint8_t> memory(size + 2 * kGuard, 0xa5);
  layer.run_packed(*plan, static_cast<std::size_t>(c.layer.samples),
                   {c.x.data(), c.thresholds.data(), memory.data() + kGuard}, parallel);
  for (std::size_t i = 0; i < kGuard; ++i) {
    RBNN_CHECK(memory[i] == 0xa5 && memory[memory.size() - 1 - i] == 0xa5, describe(isa, c.layer));
  }
  return {memory.begin() + kGuard, memory.end() - kGuard};
}

void check_packed(const PackedCase& c) {
  const std::vector<std::uint8_t> expected = expected_bits(c);
  for (const std::uint8_t byte : expected) digest(byte);
  for (const InstructionSet& set : instruction_sets()) {
    if (!set.available()) continue;
    for (const std::size_t budget : {std::size_t{0}, std::size_t{500}, std::size_t{4000}, kWindowBudget}) {
      RBNN_CHECK(run_packed(set.isa, c, expected.size(), serial(), budget) == expected,
                 describe(set.isa, c.layer) + " in bands of " + std::to_string(budget) + " bytes");
    }
    for (const std::size_t budget : {std::size_t{4000}, kWindowBudget}) {
      RBNN_CHECK(run_packed(set.isa, c, expected.size(), on_threads(), budget) == expected,
                 describe(set.isa, c.layer) + " on threads, in bands of " + std::to_string(budget) + " bytes");
    }
  }
}

}  // namespace

RBNN_TEST(random_packed_layers) {
  Random random(21);
  const std::int64_t channels[] = {1, 2, 3, 5, 8, 16, 31, 32, 33, 64, 65, 96}, groups[] = {1, 1, 1, 2, 3};
  const std::int64_t outputs[] = {1, 2, 7, 8, 9, 16, 17, 33, 65}, taps[] = {1, 2, 3, 3, 3, 5};
  int done = 0;
  while (done < 120) {
    Case c{};
    c.attributes.groups = pick(random, groups);
    c.attributes.channels = c.attributes.groups * pick(random, channels);
    c.filter = {c.attributes.groups * pick(random, outputs), pick(random, taps), pick(random, taps)};
    for (auto& value : c.attributes.strides) value = 1 + random() % 3;
    for (auto& value : c.attributes.dilations) value = 1 + random() % 3;
    for (auto& value : c.attributes.pads) value = random() % 5;
    for (auto& value : c.attributes.pool) value = 1 + random() % 3;
    c.attributes.pad_value = static_cast<std::int64_t>(random() % 3) - 1;
    c.samples = random() % 4;
    c.height = 1 + random() % 9;
    c.width = 1 + random() % 9;
    if (c.output_height() < c.attributes.pool[0] || c.output_width() < c.attributes.pool[1]) continue;
    check_packed(fill_packed(c, random));
    ++done;
  }
}

RBNN_TEST(packed_layers_of_more_than_one_task) {
  Random random(22);
  for (const std::int64_t outputs : {100, 256}) {
    Case c = make_case(64, outputs, 3, 20, 1, 2);
    c.attributes.pool = {2, 2};
    check_packed(fill_packed(c, random));
  }
}

RBNN_TEST(packed_layers_of_more_samples_than_one_round) {
  Random random(23);
  check_packed(fill_packed(make_case(512, 70, 3, 8, 1, 40), random));
}

}  // namespace rbnn::test
