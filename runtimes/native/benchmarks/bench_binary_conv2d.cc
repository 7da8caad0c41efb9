// Times every instruction set of this machine on the layers of real networks, one thread, float in to float out.
//
// usage: bench_binary_conv2d [--kernel NAME] [--layer TEXT] [--rounds N] [--json]
//
// Layers, kernels and the peak are interleaved in rounds, so that whatever else the machine does falls on all of them.
// A time is the median over rounds, with the 10th and 90th percentiles beside it; a share of the peak is the median of
// the rounds' shares, each against the peak measured next to it in that round.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/popcount_peak/popcount_peak.h"
#include "timing.h"

namespace {

using namespace rbnn;
using bench::percentile;
using bench::seconds;

struct LayerShape {
  const char* network;
  int channels, outputs, size, stride;
  int times;  // how often the network has it
};

constexpr LayerShape kLayers[] = {
    {"resnet18", 64, 64, 56, 1, 4},   {"resnet18", 64, 128, 56, 2, 1},  {"resnet18", 128, 128, 28, 1, 3},
    {"resnet18", 128, 256, 28, 2, 1}, {"resnet18", 256, 256, 14, 1, 3}, {"resnet18", 256, 512, 14, 2, 1},
    {"resnet18", 512, 512, 7, 1, 3},  {"resnet20", 16, 16, 32, 1, 6},   {"resnet20", 16, 32, 32, 2, 1},
    {"resnet20", 32, 32, 16, 1, 5},   {"resnet20", 32, 64, 16, 2, 1},   {"resnet20", 64, 64, 8, 1, 5},
    {"first", 3, 64, 32, 2, 1},
};

// "resnet18 3x3 64->128 @56 /2"
std::string label(const LayerShape& s) {
  return std::string(s.network) + " 3x3 " + std::to_string(s.channels) + "->" + std::to_string(s.outputs) + " @" +
         std::to_string(s.size) + " /" + std::to_string(s.stride);
}

struct Candidate {
  InstructionSet set;
  PopcountPeak peak;
};

std::vector<Candidate> candidates(const char* only) {
  std::vector<Candidate> result;
  for (const InstructionSet& set : instruction_sets()) {
    if (!set.available() || (only != nullptr && std::strcmp(only, set.name) != 0)) continue;
    result.push_back({set, kernel_for(popcount_peak_kernels(), set.isa)});
  }
  return result;
}

class Layer {
 public:
  Layer(const LayerShape& shape, Isa isa) : shape_(shape) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& values, std::size_t count) {
      values.resize(count);
      for (float& value : values) value = normal(random);
    };
    Attributes attributes;
    attributes.channels = shape.channels;
    attributes.strides = {shape.stride, shape.stride};
    attributes.pads = {1, 1, 1, 1};
    attributes.activation = Activation::kHardtanh;
    std::vector<std::uint8_t> weights(static_cast<std::size_t>(shape.outputs) * 9 *
                                      bytes_for_bits(static_cast<std::size_t>(shape.channels)));
    for (std::uint8_t& byte : weights) byte = static_cast<std::uint8_t>(random());
    layer_ = std::make_unique<BinaryConv2d>(isa, attributes, FilterShape{shape.outputs, 3, 3}, weights.data());
    plan_ = layer_->plan(shape.size, shape.size);
    const auto outputs = static_cast<std::size_t>(shape.outputs), pixels = plan_->pixels.size();
    fill(x_, static_cast<std::size_t>(shape.size) * static_cast<std::size_t>(shape.size) *
                 static_cast<std::size_t>(shape.channels));
    fill(scale_, outputs);
    fill(bias_, outputs);
    if (shape.stride == 2) fill(residual_, pixels * outputs);  // else a layer's residual is its input, as in ResNet-18
    y_.resize(pixels * outputs);
  }

  void run() {
    const float* const residual = residual_.empty() ? x_.data() : residual_.data();
    BinaryConv2d::Tensors tensors{};
    tensors.x = x_.data();
    tensors.scale = scale_.data();
    tensors.bias = bias_.data();
    tensors.residual = residual;
    tensors.y = y_.data();
    layer_->run(*plan_, 1, tensors, serial());
  }

  const LayerShape& shape() const { return shape_; }
  double macs() const { return static_cast<double>(y_.size()) * 9 * shape_.channels; }

 private:
  LayerShape shape_;
  std::unique_ptr<BinaryConv2d> layer_;
  std::shared_ptr<const Plan> plan_;
  std::vector<float> x_, scale_, bias_, residual_, y_;
};

struct Timed {
  Layer layer;
  std::vector<double> times;    // of each round, in seconds
  std::vector<double> at_peak;  // how long its multiply-accumulates would have taken at the peak of that moment
};

struct Result {
  Candidate candidate;
  std::vector<Timed> layers;
};

// One line of the result: a layer, or a whole network's layers.
struct Line {
  std::string label;
  double macs, median, p10, p90, share;
};

Line line(const Timed& timed) {
  std::vector<double> shares;
  for (std::size_t r = 0; r < timed.times.size(); ++r) shares.push_back(timed.at_peak[r] / timed.times[r]);
  return {label(timed.layer.shape()),   timed.layer.macs(),           percentile(timed.times, 0.5),
          percentile(timed.times, 0.1), percentile(timed.times, 0.9), percentile(shares, 0.5)};
}

// The binary layers of ResNet-18, each as often as it has them: sums of the layers' figures. (Not figures of the
// rounds' sums: on a busy machine some layer is interrupted in every round.)
Line resnet18(const std::vector<Timed>& layers) {
  Line sum{"resnet18: its 16 binary layers", 0, 0, 0, 0, 0};
  for (const Timed& timed : layers) {
    const LayerShape& shape = timed.layer.shape();
    if (std::strcmp(shape.network, "resnet18") != 0) continue;
    const Line l = line(timed);
    sum.macs += shape.times * l.macs;
    sum.median += shape.times * l.median;
    sum.p10 += shape.times * l.p10;
    sum.p90 += shape.times * l.p90;
    sum.share += shape.times * l.median * l.share;
  }
  sum.share /= sum.median;
  return sum;
}

void print(const Result& result, bool json, bool last) {
  const char* const name = result.candidate.set.name;
  std::vector<Line> lines;
  for (const Timed& timed : result.layers) lines.push_back(line(timed));
  lines.push_back(resnet18(result.layers));
  if (lines.back().macs == 0) lines.pop_back();
  if (!json) {
    std::printf("%s\n  %-32s %9s %9s %9s %8s %8s\n", name, "layer", "median us", "p10", "p90", "GMAC/s", "of peak");
  }
  for (const Line& l : lines) {
    if (json) {
      std::printf(
          "{\"kernel\": \"%s\", \"layer\": \"%s\", \"median_us\": %.2f, \"p10_us\": %.2f, \"p90_us\": %.2f, "
          "\"gmacs\": %.1f, \"peak_fraction\": %.4f}%s\n",
          name, l.label.c_str(), l.median * 1e6, l.p10 * 1e6, l.p90 * 1e6, l.macs / l.median / 1e9, l.share,
          last && &l == &lines.back() ? "" : ",");
    } else {
      std::printf("  %-32s %9.1f %9.1f %9.1f %8.0f %7.1f%%\n", l.label.c_str(), l.median * 1e6, l.p10 * 1e6,
                  l.p90 * 1e6, l.macs / l.median / 1e9, 100 * l.share);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char *only = nullptr, *only_layer = "";
  int rounds = 50;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--kernel") == 0 && i + 1 < argc) {
      only = argv[++i];
    } else if (std::strcmp(argv[i], "--layer") == 0 && i + 1 < argc) {
      only_layer = argv[++i];
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else {
      std::fprintf(stderr, "usage: %s [--kernel NAME] [--layer TEXT] [--rounds N] [--json]\n", argv[0]);
      return 2;
    }
  }

  std::vector<Result> results;
  for (const Candidate& candidate : candidates(only)) {
    results.push_back({candidate, {}});
    for (const LayerShape& shape : kLayers) {
      if (std::strstr(label(shape).c_str(), only_layer) == nullptr) continue;
      results.back().layers.push_back({Layer(shape, candidate.set.isa), {}, {}});
    }
  }
  if (results.empty()) {
    std::fprintf(stderr, "%s: this machine has no kernel '%s'\n", argv[0], only);
    return 2;
  }

  constexpr std::size_t kPeakSteps = 5000;
  for (int round = 0; round < rounds; ++round) {
    for (Result& result : results) {
      for (Timed& timed : result.layers) {
        double bits = 0;
        const double peak_time = seconds([&] { bits = result.candidate.peak(kPeakSteps); });
        timed.at_peak.push_back(timed.layer.macs() / bits * peak_time);
        timed.layer.run();  // caches as in a network, where the input has just been written
        timed.times.push_back(seconds([&] { timed.layer.run(); }));
      }
    }
  }

  if (json) std::printf("[\n");
  for (const Result& result : results) print(result, json, &result == &results.back());
  if (json) std::printf("]\n");
  return 0;
}
