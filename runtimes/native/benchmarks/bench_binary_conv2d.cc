// Times every kernel of kernels.inc on the layers of real networks, one thread, float in to float out.
//
// usage: bench_binary_conv2d [--kernel NAME] [--layer TEXT] [--rounds N] [--json]
//
// Layers, kernels and the peak are interleaved in rounds, so that whatever else the machine does falls on all of them;
// a figure is a median over rounds, with the 10th and 90th percentiles beside it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/peak.h"
#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/binary_conv2d/select.h"

namespace {

using namespace rbnn;

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

using PeakFunction = double (*)(std::size_t);

struct Candidate {
  const Kernel* kernel;
  PeakFunction peak;
};

std::vector<Candidate> candidates(const char* only) {
  const PeakFunction peaks[] = {
#define RBNN_KERNEL(name, features) peak_##name,
#include "kernels/binary_conv2d/kernels.inc"
  };
  std::vector<Candidate> result;
  for (std::size_t i = 0; i < all_kernels().size(); ++i) {
    const KernelEntry& entry = all_kernels()[i];
    if (!entry.available() || (only != nullptr && std::strcmp(only, entry.kernel->name) != 0)) continue;
    result.push_back({entry.kernel, peaks[i]});
  }
  return result;
}

class Layer {
 public:
  Layer(const LayerShape& shape, const Kernel& kernel) : shape_(shape) {
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
    layer_ = std::make_unique<BinaryConv2d>(kernel, attributes, FilterShape{shape.outputs, 3, 3}, weights.data());
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
    layer_->run(*plan_, 1, {x_.data(), scale_.data(), bias_.data(), residual, false, y_.data()}, serial());
  }

  const LayerShape& shape() const { return shape_; }
  double macs() const { return static_cast<double>(y_.size()) * 9 * shape_.channels; }

 private:
  LayerShape shape_;
  std::unique_ptr<BinaryConv2d> layer_;
  std::shared_ptr<const Plan> plan_;
  std::vector<float> x_, scale_, bias_, residual_, y_;
};

template <typename Function>
double seconds(Function&& function) {
  const auto begin = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double percentile(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1) + 0.5)];
}

struct Timed {
  Layer layer;
  std::vector<double> times;
};

struct Result {
  Candidate candidate;
  std::vector<Timed> layers;
  std::vector<double> peaks;  // bits a second
};

void print(const Result& result, bool json, bool last) {
  const double peak = percentile(result.peaks, 0.5);
  const char* const name = result.candidate.kernel->name;
  if (!json) {
    std::printf("%s: peak %.0f G MAC/s\n", name, peak / 1e9);
    std::printf("  %-34s %10s %10s %10s %10s %7s\n", "layer", "median us", "p10", "p90", "G MAC/s", "peak");
  }
  double network_time = 0, network_macs = 0;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const auto& [layer, times] = result.layers[i];
    const LayerShape& s = layer.shape();
    const double median = percentile(times, 0.5), rate = layer.macs() / median;
    if (std::strcmp(s.network, "resnet18") == 0) {
      network_time += s.times * median;
      network_macs += s.times * layer.macs();
    }
    const std::string text = label(s);
    if (json) {
      std::printf("{\"kernel\": \"%s\", \"layer\": \"%s\", \"median_us\": %.2f, \"p10_us\": %.2f, \"p90_us\": %.2f, "
                  "\"gmacs\": %.1f, \"peak_fraction\": %.4f},\n",
                  name, text.c_str(), median * 1e6, percentile(times, 0.1) * 1e6, percentile(times, 0.9) * 1e6, rate / 1e9,
                  rate / peak);
    } else {
      std::printf("  %-34s %10.1f %10.1f %10.1f %10.0f %6.1f%%\n", text.c_str(), median * 1e6, percentile(times, 0.1) * 1e6,
                  percentile(times, 0.9) * 1e6, rate / 1e9, 100 * rate / peak);
    }
  }
  if (network_time == 0) return;
  const double rate = network_macs / network_time;
  if (json) {
    std::printf("{\"kernel\": \"%s\", \"layer\": \"resnet18: its 16 binary layers\", \"median_us\": %.2f, "
                "\"gmacs\": %.1f, \"peak_fraction\": %.4f, \"peak_gmacs\": %.1f}%s\n",
                name, network_time * 1e6, rate / 1e9, rate / peak, peak / 1e9, last ? "" : ",");
  } else {
    std::printf("  %-34s %10.1f %10s %10s %10.0f %6.1f%%\n\n", "resnet18: its 16 binary layers", network_time * 1e6, "",
                "", rate / 1e9, 100 * rate / peak);
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
    results.push_back({candidate, {}, {}});
    for (const LayerShape& shape : kLayers) {
      if (std::strstr(label(shape).c_str(), only_layer) == nullptr) continue;
      results.back().layers.push_back({Layer(shape, *candidate.kernel), {}});
    }
  }
  if (results.empty()) {
    std::fprintf(stderr, "%s: this machine has no kernel '%s'\n", argv[0], only);
    return 2;
  }

  constexpr std::size_t kPeakSteps = 50000;
  for (int round = 0; round < rounds; ++round) {
    for (Result& result : results) {
      double bits = 0;
      const double peak_time = seconds([&] { bits = result.candidate.peak(kPeakSteps); });
      result.peaks.push_back(bits / peak_time);
      for (Timed& timed : result.layers) {
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
