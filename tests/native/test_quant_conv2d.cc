// Whole layers of QuantConv2d, every instruction set, against the oracle: every bit of every output.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

#include "harness.h"
#include "kernels/quant_conv2d/quant_conv2d.h"
#include "layer_cases.h"
#include "quant_oracle.h"

namespace rbnn::test {
namespace {

QuantCase quant_case(std::int64_t channels, std::int64_t outputs, std::int64_t kernel, std::int64_t size,
                     std::int64_t pad, std::int64_t stride = 1) {
  QuantCase c{};
  c.attributes.conv.channels = channels;
  c.attributes.conv.pads = {pad, pad, pad, pad};
  c.attributes.conv.strides = {stride, stride};
  c.filter = {outputs, kernel, kernel};
  c.samples = 1;
  c.height = c.width = size;
  c.residual = QuantCase::Residual::kFull;
  return c;
}

void fill_quant(QuantCase& c, Random& random) {
  const auto draw = [&](std::vector<float>& values, std::int64_t count) {
    values.resize(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(random);
  };
  const FilterShape& f = c.filter;
  draw(c.x, c.samples * c.height * c.width * c.attributes.conv.channels);
  // Halves of a step, which round to even.
  for (float& value : c.x) value = random() % 4 == 0 ? std::round(8 * value) / 8 : value;
  draw(c.scale, f.outputs);
  for (float& value : c.scale) value /= 1024;
  draw(c.bias, f.outputs);
  draw(c.r, c.residual == QuantCase::Residual::kFull ? c.samples * c.conv_size()[0] * c.conv_size()[1] * f.outputs : 1);
  const float factors[] = {4.0f, 60.0f, 33.3f, -20.0f};
  c.factor = pick(random, factors);
  c.w.resize(static_cast<std::size_t>(f.outputs * f.height * f.width *
                                      (c.attributes.conv.channels / c.attributes.conv.groups)));
  for (std::int8_t& weight : c.w) weight = static_cast<std::int8_t>(random());
}

std::string describe(Isa isa, const QuantCase& c) {
  const auto list = [](const auto& values) {
    std::string text;
    for (const std::int64_t value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
    return text;
  };
  const QuantAttributes& a = c.attributes;
  return std::string("kernel ") + instruction_set(isa).name + " X [" + std::to_string(c.samples) + "," +
         std::to_string(c.height) + "," + std::to_string(c.width) + "," + std::to_string(a.conv.channels) +
         (a.layout == MapLayout::kChannelsFirst ? "] first" : "] last") + " O " + std::to_string(c.filter.outputs) +
         " K " + std::to_string(c.filter.height) + "x" + std::to_string(c.filter.width) + " strides " +
         list(a.conv.strides) + " pads " + list(a.conv.pads) + " dilations " + list(a.conv.dilations) + " groups " +
         std::to_string(a.conv.groups) + " mean " + list(a.mean_kernel) + "/" + list(a.mean_strides) + " low " +
         std::to_string(a.low) + " high " + std::to_string(a.high) + " pool " + list(a.pool_kernel) + "/" +
         list(a.pool_strides) + "+" + list(a.pool_pads);
}

std::vector<float> run(Isa isa, const QuantCase& c, const Parallel& parallel) {
  const QuantConv2d layer(isa, c.attributes, c.filter, c.w.data());
  const QuantSizes sizes = layer.sizes(c.height, c.width);
  constexpr std::size_t kGuard = 64;
  const float guard = -12345.0f;
  const auto outputs = static_cast<std::size_t>(c.samples * sizes.pool[0] * sizes.pool[1] * c.filter.outputs);
  std::vector<float> memory(outputs + 2 * kGuard, guard);
  float* const y = memory.data() + kGuard;
  layer.run(
      sizes, static_cast<std::size_t>(c.samples),
      {c.x.data(), c.scale.data(), c.bias.data(), c.residual == QuantCase::Residual::kAbsent ? nullptr : c.r.data(),
       c.residual == QuantCase::Residual::kOne, c.factor, y},
      parallel);
  for (std::size_t i = 0; i < kGuard; ++i) {
    RBNN_CHECK(memory[i] == guard && memory[memory.size() - 1 - i] == guard, describe(isa, c));
  }
  return {y, y + outputs};
}

void check(const QuantCase& c) {
  const std::vector<float> expected = quant_conv2d(c);
  for (const float y : expected) {
    std::uint32_t bits = 0x7fc00000;  // of every NaN, whose sign and payload are not defined
    if (!std::isnan(y)) std::memcpy(&bits, &y, sizeof(bits));
    digest(bits);
  }
  for (const InstructionSet& set : instruction_sets()) {
    if (!set.available()) continue;
    RBNN_CHECK(same_bits(run(set.isa, c, serial()), expected), describe(set.isa, c));
    RBNN_CHECK(same_bits(run(set.isa, c, on_threads()), expected), describe(set.isa, c) + " on threads");
  }
}

template <std::size_t N>
void draw_pair(Random& random, std::array<std::int64_t, N>& values, std::int64_t lowest, std::int64_t count) {
  for (auto& value : values) value = lowest + static_cast<std::int64_t>(random() % static_cast<unsigned>(count));
}

}  // namespace

RBNN_TEST(random_quant_layers) {
  Random random(21);
  const std::int64_t channels[] = {1, 2, 3, 3, 4, 5, 8, 17, 32}, groups[] = {1, 1, 1, 1, 2, 3};
  const std::int64_t outputs[] = {1, 2, 7, 8, 9, 16, 17, 33, 64, 65}, taps[] = {1, 1, 2, 3, 3, 5, 7};
  const std::array<std::int64_t, 2> ranges[] = {{-128, 127}, {0, 255}, {-255, 0}, {-127, 127}, {0, 0}, {-3, 7}};
  int done = 0;
  while (done < 400) {
    QuantCase c{};
    QuantAttributes& a = c.attributes;
    a.conv.groups = pick(random, groups);
    a.conv.channels = a.conv.groups * pick(random, channels);
    c.filter = {a.conv.groups * pick(random, outputs), pick(random, taps), pick(random, taps)};
    draw_pair(random, a.conv.strides, 1, 3);
    draw_pair(random, a.conv.pads, 0, 4);
    if (random() % 3 == 0) draw_pair(random, a.conv.dilations, 1, 3);
    a.conv.activation = static_cast<Activation>(random() % 3);
    a.layout = random() % 2 ? MapLayout::kChannelsFirst : MapLayout::kChannelsLast;
    if (random() % 3 == 0) {
      draw_pair(random, a.mean_kernel, 0, 4);
      draw_pair(random, a.mean_strides, 1, 3);
    }
    const std::array<std::int64_t, 2> range = pick(random, ranges);
    a.low = range[0];
    a.high = range[1];
    if (random() % 2) {
      draw_pair(random, a.pool_kernel, 1, 4);
      draw_pair(random, a.pool_strides, 1, 3);
      for (std::size_t i = 0; i < 4; ++i) {
        a.pool_pads[i] = static_cast<std::int64_t>(random() % static_cast<unsigned>(a.pool_kernel[i % 2]));
      }
    }
    c.samples = random() % 4;
    c.height = 1 + random() % 12;
    c.width = 1 + random() % 40;
    c.residual = static_cast<QuantCase::Residual>(random() % 3);
    if (!c.fits()) continue;
    fill_quant(c, random);
    check(c);
    ++done;
  }
}

// Layers of ResNet-18 and ResNet-20, their maps smaller: stems, a shortcut, a head.
RBNN_TEST(quant_layers_of_networks) {
  Random random(22);
  QuantCase stem = quant_case(3, 64, 7, 75, 3, 2);
  stem.attributes.layout = MapLayout::kChannelsFirst;
  stem.attributes.conv.activation = Activation::kHardtanh;
  stem.attributes.pool_kernel = {3, 3};
  stem.attributes.pool_strides = {2, 2};
  stem.attributes.pool_pads = {1, 1, 1, 1};
  stem.residual = QuantCase::Residual::kAbsent;
  QuantCase small = quant_case(3, 16, 3, 32, 1);
  small.attributes.layout = MapLayout::kChannelsFirst;
  small.attributes.conv.activation = Activation::kRelu;
  QuantCase shortcut = quant_case(64, 128, 1, 15, 0, 2);
  QuantCase averaged = quant_case(64, 128, 1, 16, 0);
  averaged.attributes.mean_kernel = averaged.attributes.mean_strides = {2, 2};
  QuantCase head = quant_case(512, 1000, 1, 7, 0);
  head.attributes.mean_kernel = {0, 0};
  head.samples = 3;
  for (QuantCase* const c : {&stem, &small, &shortcut, &averaged, &head}) {
    fill_quant(*c, random);
    check(*c);
  }
}

RBNN_TEST(quant_padding_and_strides_far_outside_the_image) {
  Random random(23);
  for (const std::int64_t kernel : {1, 3}) {
    QuantCase c = quant_case(32, 16, kernel, 3, 0);
    c.attributes.conv.pads = {1000000007, 5, 1000000007, 900000000};
    c.attributes.conv.strides = {1000000000, 300000000};
    fill_quant(c, random);
    check(c);
  }
}

// All products of one sign and as large as they can be: sums just below 2^31, and beyond it with a - low.
RBNN_TEST(largest_sums) {
  for (const std::array<std::int64_t, 2>& range : {std::array<std::int64_t, 2>{-128, 127}, {0, 255}, {-255, 0}}) {
    for (const int weight : {-128, 127}) {
      for (const float x : {-1000.0f, 1000.0f}) {
        QuantCase c = quant_case(65000, 9, 1, 1, 0);
        c.attributes.low = range[0];
        c.attributes.high = range[1];
        c.residual = QuantCase::Residual::kAbsent;
        c.x.assign(65000, x);
        c.w.assign(9 * 65000, static_cast<std::int8_t>(weight));
        c.scale.assign(9, 1.0f);
        c.bias.assign(9, 0.0f);
        c.factor = 1.0f;
        check(c);
      }
    }
  }
}

RBNN_TEST(infinities_nans_and_zeros_of_quant_layers) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {inf, -inf, nan, 0.0f, -0.0f, 1e-45f, -1e-45f, 3e38f, -3e38f, 1.0f};
  Random random(24);
  for (const Activation activation : {Activation::kNone, Activation::kHardtanh, Activation::kRelu}) {
    for (const bool mean : {false, true}) {
      for (const bool pool : {false, true}) {
        for (const float factor : {40.0f, inf, nan, 0.0f}) {
          QuantCase c = quant_case(5, 37, 3, 8, 1);
          c.samples = 2;
          c.attributes.conv.activation = activation;
          if (mean) c.attributes.mean_kernel = {2, 2};
          if (pool) {
            c.attributes.pool_kernel = {3, 2};
            c.attributes.pool_pads = {1, 1, 2, 0};
          }
          fill_quant(c, random);
          c.factor = factor;
          for (float& value : c.x) value = random() % 20 == 0 ? pick(random, values) : value;
          for (auto* tensor : {&c.scale, &c.bias, &c.r}) {
            for (float& value : *tensor) value = random() % 3 == 0 ? pick(random, values) : value;
          }
          check(c);
        }
      }
    }
  }
}

RBNN_TEST(quant_refusals) {
  const auto refused = [](const QuantCase& c) {
    try {
      const std::vector<std::int8_t> w(1 << 20);
      const QuantConv2d layer(Isa::portable, c.attributes, c.filter, w.data());
      layer.sizes(c.height, c.width);
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  const QuantCase good = quant_case(8, 8, 3, 8, 1);
  RBNN_CHECK(!refused(good), "");
  const auto check_refused = [&](const char* what, auto&& change) {
    QuantCase c = good;
    change(c);
    RBNN_CHECK(refused(c), what);
  };
  check_refused("an empty map", [](QuantCase& c) { c.height = 0; });
  check_refused("a mean of an empty map", [](QuantCase& c) { c.width = 0, c.attributes.mean_kernel = {0, 0}; });
  check_refused("groups", [](QuantCase& c) { c.attributes.conv.groups = 3; });
  check_refused("a stride of 0", [](QuantCase& c) { c.attributes.conv.strides[0] = 0; });
  check_refused("a mean's stride of 0", [](QuantCase& c) { c.attributes.mean_strides[1] = 0; });
  check_refused("a mean beyond the map", [](QuantCase& c) { c.attributes.mean_kernel = {9, 1}; });
  check_refused("a kernel beyond the map", [](QuantCase& c) { c.attributes.conv.dilations = {5, 1}; });
  check_refused("a window beyond the map", [](QuantCase& c) { c.attributes.pool_kernel = {9, 1}; });
  check_refused("a window of padding only", [](QuantCase& c) { c.attributes.pool_pads = {1, 0, 0, 0}; });
  check_refused("a negative pad", [](QuantCase& c) { c.attributes.pool_pads[3] = -1; });
  check_refused("low above 0", [](QuantCase& c) { c.attributes.low = 1; });
  check_refused("high below 0", [](QuantCase& c) { c.attributes.high = -1; });
  check_refused("257 integers", [](QuantCase& c) { c.attributes.high = 128; });
  check_refused("low below -255", [](QuantCase& c) { c.attributes.low = -256, c.attributes.high = -1; });
  check_refused("an output that is nearly all padding",
                [](QuantCase& c) { c.attributes.conv.pads = {60000000, 0, 0, 0}; });
  check_refused("a pooled map that is nearly all padding", [](QuantCase& c) {
    c.attributes.pool_kernel = {100000000, 1};
    c.attributes.pool_pads = {99999999, 0, 99999999, 0};
  });
  QuantCase c = quant_case(1 << 17, 1, 1, 1, 0);
  RBNN_CHECK(refused(c), "sums that int32 does not hold");
  c.attributes.conv.channels -= 1;
  RBNN_CHECK(!refused(c), "the largest sums that it holds");
}

}  // namespace rbnn::test
