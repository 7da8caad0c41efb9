// Whole layers, every instruction set, against the oracle: every bit of every output.

#include <cmath>
#include <limits>
#include <stdexcept>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"
#include "layer_cases.h"

namespace rbnn::test {

RBNN_TEST(sizes_around_powers_of_two) {
  Random random(1);
  for (const std::int64_t channels : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 512}) {
    for (const std::int64_t outputs : {1, 8, 17, 33}) {
      Case c = make_case(channels, outputs, 3, 4, 1);
      fill(c, random);
      check(c);
    }
  }
}

RBNN_TEST(random_layers) {
  Random random(2);
  const std::int64_t channels[] = {1, 2, 3, 5, 8, 16, 31, 32, 33, 48, 64, 65, 96}, groups[] = {1, 1, 1, 2, 3, 4};
  const std::int64_t outputs[] = {1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 48, 65}, taps[] = {1, 2, 3, 3, 3, 4, 5};
  int done = 0;
  while (done < 250) {
    Case c{};
    c.attributes.groups = pick(random, groups);
    c.attributes.channels = c.attributes.groups * pick(random, channels);
    c.filter = {c.attributes.groups * pick(random, outputs), pick(random, taps), pick(random, taps)};
    for (auto& value : c.attributes.strides) value = 1 + random() % 3;
    for (auto& value : c.attributes.dilations) value = 1 + random() % 3;
    for (auto& value : c.attributes.pads) value = random() % 5;
    c.attributes.threshold = random() % 2 ? Threshold::kSampleMean : Threshold::kZero;
    c.attributes.activation = static_cast<Activation>(random() % 3);
    c.samples = random() % 4;
    c.height = 1 + random() % 9;
    c.width = 1 + random() % 9;
    c.residual = static_cast<Case::Residual>(random() % 3);
    if (c.output_height() < 1 || c.output_width() < 1) continue;
    fill(c, random);
    check(c);
    ++done;
  }
}

RBNN_TEST(depthwise) {
  Random random(3);
  Case c = make_case(40, 80, 3, 6, 1);
  c.attributes.groups = 40;
  fill(c, random);
  check(c);
}

RBNN_TEST(more_work_than_one_task) {
  Random random(4);
  Case c = make_case(64, 100, 3, 20, 1, 2);
  fill(c, random);
  check(c);
}

RBNN_TEST(more_samples_than_one_round) {
  Random random(5);
  Case c = make_case(512, 16, 1, 8, 0, 20);
  fill(c, random);
  check(c);
}

RBNN_TEST(one_by_one_maps_of_a_batch) {
  Random random(6);
  Case c = make_case(70, 33, 1, 1, 0, 29);
  fill(c, random);
  check(c);
}

RBNN_TEST(kernels_larger_than_the_image) {
  Random random(7);
  for (const std::int64_t kernel : {3, 5, 7}) {
    for (const std::int64_t channels : {4, 64}) {
      Case c = make_case(channels, 20, kernel, 1, kernel / 2);
      fill(c, random);
      check(c);
    }
  }
}

RBNN_TEST(padding_and_strides_far_outside_the_image) {
  Random random(8);
  Case c = make_case(32, 16, 3, 3, 0);
  c.attributes.pads = {1000000007, 5, 1000000007, 900000000};
  c.attributes.strides = {1000000000, 300000000};
  fill(c, random);
  check(c);
}

// Counters of bytes must be widened in time: all bits differ, and all agree.
RBNN_TEST(longest_counts) {
  for (const int weights : {0x00, 0xff}) {
    Case c = make_case(4096, 9, 5, 5, 0);
    c.attributes.threshold = Threshold::kZero;
    c.residual = Case::Residual::kAbsent;
    c.x.assign(5 * 5 * 4096, 1.0f);
    c.w.assign(9 * 5 * 5 * 512, static_cast<std::uint8_t>(weights));
    c.scale.assign(9, 1.0f);
    c.bias.assign(9, 0.0f);
    check(c);
  }
}

RBNN_TEST(infinities_nans_and_zeros) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {inf, -inf, nan, 0.0f, -0.0f, 1e-45f, -1e-45f, 3e38f, -3e38f, 1.0f};
  Random random(9);
  for (const Threshold threshold : {Threshold::kSampleMean, Threshold::kZero}) {
    for (const Activation activation : {Activation::kNone, Activation::kHardtanh, Activation::kRelu}) {
      Case c = make_case(33, 37, 3, 5, 1, 3);
      c.attributes.threshold = threshold;
      c.attributes.activation = activation;
      fill(c, random);
      for (float& value : c.x) value = random() % 50 == 0 ? pick(random, values) : value;
      for (auto* tensor : {&c.scale, &c.bias, &c.r}) {
        for (float& value : *tensor) value = random() % 3 == 0 ? pick(random, values) : value;
      }
      check(c);
    }
  }
}

// A -0.0 is neither below 0 nor below -1: a maximum that takes +0 for the larger zero would change its sign.
RBNN_TEST(minus_zero_passes_every_activation) {
  for (const Activation activation : {Activation::kNone, Activation::kHardtanh, Activation::kRelu}) {
    Case c = make_case(2, 37, 1, 7, 0);
    c.attributes.threshold = Threshold::kZero;
    c.attributes.activation = activation;
    c.x.assign(7 * 7 * 2, 1.0f);
    c.w.assign(37, 0b01);  // one +1 and one -1: every sum is 0
    c.scale.assign(37, -1.0f);
    c.bias.assign(37, -0.0f);
    c.r.assign(7 * 7 * 37, -0.0f);
    for (const float y : binary_conv2d(c)) RBNN_CHECK(y == 0.0f && std::signbit(y), "the oracle");
    check(c);
  }
}

RBNN_TEST(refusals) {
  const auto refused = [](const Case& c) {
    try {
      const std::vector<std::uint8_t> w(1 << 16);
      const BinaryConv2d layer(Isa::portable, c.attributes, c.filter, w.data());
      layer.plan(c.height, c.width);
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  const Case good = make_case(8, 8, 3, 8, 1);
  RBNN_CHECK(!refused(good), "");
  Case c = good;
  c.height = 0;
  RBNN_CHECK(refused(c), "an empty map");
  c = good;
  c.attributes.dilations = {5, 1};
  RBNN_CHECK(refused(c), "a kernel that exceeds the padded map");
  c = good;
  c.attributes.groups = 3;
  RBNN_CHECK(refused(c), "groups that do not divide the channels");
  c = good;
  c.filter.outputs = 0;
  RBNN_CHECK(refused(c), "no outputs");
  c = good;
  c.attributes.pads[1] = -1;
  RBNN_CHECK(refused(c), "a negative pad");
  c = good;
  c.attributes.strides[0] = 0;
  RBNN_CHECK(refused(c), "a stride of 0");
  c = good;
  c.attributes.pads = {2147483647, 2147483647, 2147483647, 2147483647};
  RBNN_CHECK(refused(c), "an output that no memory holds");
  c = good;
  c.attributes.channels = 1 << 21;
  RBNN_CHECK(refused(c), "sums that float32 does not hold");
  c = good;
  c.attributes.pads = {60000000, 0, 0, 0};
  RBNN_CHECK(refused(c), "an output that is nearly all padding");
  c = make_case(1, 1, 3, 2048, 1);
  RBNN_CHECK(!refused(c), "a large map");
  c.filter = {1, (1 << 24) - 1, 1};
  RBNN_CHECK(refused(c), "weights that are nearly all gaps");
  c = make_case(7200, 7200, 3, 1, 1);
  c.attributes.groups = 7200;
  RBNN_CHECK(!refused(c), "a large depthwise layer");
}

}  // namespace rbnn::test
