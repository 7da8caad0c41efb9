// Runs one layer of ResNet-18 (3 x 3, 64 to 64 channels, 56 x 56; float in, float out) a number of times on one thread
// and times nothing: for counting instructions, where the difference between two numbers of runs is the layer.
//
// usage: run_layer KERNEL RUNS

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <vector>

#include "kernels/binary_conv2d/binary_conv2d.h"

namespace {

using namespace rbnn;

void run_layer(Isa isa, int runs) {
  constexpr std::int64_t kChannels = 64, kSize = 56;
  constexpr std::size_t kOutputs = 64, kValues = kChannels * kSize * kSize;
  std::mt19937 random(1);
  std::vector<float> x(kValues), y(kValues), scale(kOutputs, 0.01f), bias(kOutputs, 0.5f);
  for (float& value : x) value = static_cast<float>(random()) / 4294967296.0f - 0.5f;
  std::vector<std::uint8_t> weights(kOutputs * 9 * kChannels / 8);
  for (std::uint8_t& byte : weights) byte = static_cast<std::uint8_t>(random());

  Attributes attributes;
  attributes.channels = kChannels;
  attributes.pads = {1, 1, 1, 1};
  attributes.activation = Activation::kHardtanh;
  const BinaryConv2d layer(isa, attributes, FilterShape{kOutputs, 3, 3}, weights.data());
  const auto plan = layer.plan(kSize, kSize);
  for (int run = 0; run < runs; ++run) {
    layer.run(*plan, 1, {x.data(), scale.data(), bias.data(), x.data(), false, y.data()}, serial());
  }
  std::printf("%s, %d runs: y[0] = %g\n", instruction_set(isa).name, runs, static_cast<double>(y[0]));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s KERNEL RUNS\n", argv[0]);
    return 2;
  }
  try {
    run_layer(select_isa(argv[1]), std::atoi(argv[2]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 2;
  }
  return 0;
}
