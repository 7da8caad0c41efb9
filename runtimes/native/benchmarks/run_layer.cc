// Runs one 3 x 3 layer (stride 1, padding 1, as many outputs as inputs; float in, float out) a number of times on one
// thread and times nothing: for counting instructions under emulation (tools/arm64/layers.py). The emulator's log shows
// where the last run begins and ends: it alone is between calls of layer_begins and layer_ends.
//
// usage: run_layer KERNEL CHANNELS SIZE full|bare RUNS
//
// full: the mean of the sample is the threshold, a residual is added, and the result clamped (hardtanh);
// bare: the threshold is zero, and none of these steps follows.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "kernels/binary_conv2d/binary_conv2d.h"

// Of no effect, but never inlined and never left out.
extern "C" {
[[gnu::noinline]] void layer_begins() { __asm__ volatile("" ::: "memory"); }
[[gnu::noinline]] void layer_ends() { __asm__ volatile("" ::: "memory"); }
}

namespace {

using namespace rbnn;

void run_layer(Isa isa, std::int64_t channels, std::int64_t size, bool full, int runs) {
  const auto outputs = static_cast<std::size_t>(channels), values = outputs * static_cast<std::size_t>(size * size);
  std::mt19937 random(1);
  std::vector<float> x(values), y(values), scale(outputs, 0.01f), bias(outputs, 0.5f);
  for (float& value : x) value = static_cast<float>(random()) / 4294967296.0f - 0.5f;
  std::vector<std::uint8_t> weights(outputs * 9 * ((outputs + 7) / 8));
  for (std::uint8_t& byte : weights) byte = static_cast<std::uint8_t>(random());

  Attributes attributes;
  attributes.channels = channels;
  attributes.pads = {1, 1, 1, 1};
  attributes.threshold = full ? Threshold::kSampleMean : Threshold::kZero;
  attributes.activation = full ? Activation::kHardtanh : Activation::kNone;
  const BinaryConv2d layer(isa, attributes, FilterShape{channels, 3, 3}, weights.data());
  const auto plan = layer.plan(size, size);
  BinaryConv2d::Tensors tensors{};
  tensors.x = x.data();
  tensors.scale = scale.data();
  tensors.bias = bias.data();
  tensors.residual = full ? x.data() : nullptr;
  tensors.residual_is_scalar = !full;
  tensors.y = y.data();
  for (int run = 1; run <= runs; ++run) {
    if (run == runs) layer_begins();
    layer.run(*plan, 1, tensors, serial());
  }
  layer_ends();
  std::printf("%s, %d runs: y[0] = %g\n", instruction_set(isa).name, runs, static_cast<double>(y[0]));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 6 ? argv[4] : "";
  const int channels = argc == 6 ? std::atoi(argv[2]) : 0, size = argc == 6 ? std::atoi(argv[3]) : 0;
  if (channels <= 0 || size <= 0 || (what != "full" && what != "bare")) {
    std::fprintf(stderr, "usage: %s KERNEL CHANNELS SIZE full|bare RUNS\n", argv[0]);
    return 2;
  }
  try {
    run_layer(select_isa(argv[1]), channels, size, what == "full", std::atoi(argv[5]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 2;
  }
  return 0;
}
