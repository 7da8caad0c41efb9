// Whole layers of GeneralBinaryConv2d, every instruction set, against the oracle: every bit of every output.

#include <limits>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"
#include "layer_cases.h"

namespace rbnn::test {

RBNN_TEST(random_general_layers) {
  Random random(11);
  const std::int64_t channels[] = {1, 3, 5, 8, 31, 32, 33, 64, 65, 96}, groups[] = {1, 1, 1, 2, 3};
  const std::int64_t outputs[] = {1, 2, 7, 8, 9, 16, 17, 33, 65}, taps[] = {1, 2, 3, 3, 3, 5};
  int done = 0;
  while (done < 250) {
    Case c{};
    c.attributes.groups = pick(random, groups);
    c.attributes.channels = c.attributes.groups * pick(random, channels);
    c.filter = {c.attributes.groups * pick(random, outputs), pick(random, taps), pick(random, taps)};
    for (auto& value : c.attributes.strides) value = 1 + random() % 3;
    for (auto& value : c.attributes.dilations) value = 1 + random() % 3;
    for (auto& value : c.attributes.pads) value = random() % 5;
    c.attributes.threshold = static_cast<Threshold>(random() % 3);
    c.attributes.activation = static_cast<Activation>(random() % 4);
    c.attributes.residual = static_cast<ResidualPlace>(random() % 2);
    c.attributes.pad_value = static_cast<std::int64_t>(random() % 3) - 1;
    c.samples = random() % 4;
    c.height = 1 + random() % 9;
    c.width = 1 + random() % 9;
    c.residual = static_cast<Case::Residual>(random() % 3);
    if (c.output_height() < 1 || c.output_width() < 1) continue;
    fill(c, random);
    fill_general(c, random);
    check(c);
    ++done;
  }
}

RBNN_TEST(general_layers_of_more_than_one_task) {
  Random random(12);
  Case c = make_case(64, 100, 3, 20, 1, 2);
  c.attributes.threshold = Threshold::kPerChannel;
  c.attributes.activation = Activation::kPrelu;
  c.attributes.residual = ResidualPlace::kAfterActivation;
  c.attributes.pad_value = 1;
  fill(c, random);
  fill_general(c, random);
  if (c.window_sum.empty()) c.window_sum.assign(100, 0.25f);
  if (c.border.empty()) c.border.assign(900, -0.5f);
  check(c);
}

RBNN_TEST(infinities_nans_and_zeros_of_general_layers) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {inf, -inf, nan, 0.0f, -0.0f, 1e-45f, -1e-45f, 3e38f, -3e38f, 1.0f};
  Random random(13);
  for (const ResidualPlace place : {ResidualPlace::kBeforeActivation, ResidualPlace::kAfterActivation}) {
    for (const Activation activation :
         {Activation::kNone, Activation::kHardtanh, Activation::kRelu, Activation::kPrelu}) {
      Case c = make_case(33, 37, 3, 5, 1, 3);
      c.attributes.threshold = Threshold::kPerChannel;
      c.attributes.activation = activation;
      c.attributes.residual = place;
      fill(c, random);
      fill_general(c, random);
      for (float& value : c.x) value = random() % 50 == 0 ? pick(random, values) : value;
      for (auto* tensor : {&c.scale, &c.bias, &c.r, &c.thresholds, &c.window_sum, &c.neg, &c.pos, &c.post, &c.border}) {
        for (float& value : *tensor) value = random() % 3 == 0 ? pick(random, values) : value;
      }
      check(c);
    }
  }
}

}  // namespace rbnn::test
