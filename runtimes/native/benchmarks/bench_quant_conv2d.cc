// Times every instruction set of this machine on the int8 layers of real networks, one thread, float in to float out.
//
// usage: bench_quant_conv2d [--kernel NAME] [--layer TEXT] [--rounds N]
//
// Layers and kernels are interleaved in rounds, so that whatever else the machine does falls on all of them. "Of peak"
// is the rate of multiply-accumulates against that of the product alone, on data in the first cache, measured next to
// each layer; multiplications by padding and by zeros between words are not counted in either. Median of the rounds.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/memory.h"
#include "kernels/quant_conv2d/quant_conv2d.h"
#include "timing.h"

namespace {

using namespace rbnn;
using bench::percentile;
using bench::seconds;

struct LayerShape {
  const char* name;
  int channels, outputs, kernel, size, stride, pad;
  bool channels_first;
  int mean, pool;  // mean: 0 is the whole map, 1 none; pool: 1 none
  Activation activation;
};

constexpr LayerShape kLayers[] = {
    {"resnet18 stem, pooled", 3, 64, 7, 224, 2, 3, true, 1, 3, Activation::kHardtanh},
    {"resnet18 stem, not pooled", 3, 64, 7, 224, 2, 3, true, 1, 1, Activation::kHardtanh},
    {"resnet18 shortcut 64->128 @56", 64, 128, 1, 56, 2, 0, false, 1, 1, Activation::kNone},
    {"resnet18 shortcut 128->256 @28", 128, 256, 1, 28, 2, 0, false, 1, 1, Activation::kNone},
    {"resnet18 shortcut 256->512 @14", 256, 512, 1, 14, 2, 0, false, 1, 1, Activation::kNone},
    {"averaged shortcut 64->128 @56", 64, 128, 1, 56, 1, 0, false, 2, 1, Activation::kNone},
    {"resnet18 head 512->1000 @7", 512, 1000, 1, 7, 1, 0, false, 0, 1, Activation::kNone},
    {"cifar stem 3->16 @32", 3, 16, 3, 32, 1, 1, true, 1, 1, Activation::kHardtanh},
    {"cifar stem 3->64 @32", 3, 64, 3, 32, 1, 1, true, 1, 1, Activation::kHardtanh},
    {"cifar head 64->10 @8", 64, 10, 1, 8, 1, 0, false, 0, 1, Activation::kNone},
};

class Layer {
 public:
  Layer(const LayerShape& shape, Isa isa) : shape_(shape) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& values, std::size_t count) {
      values.resize(count);
      for (float& value : values) value = normal(random);
    };
    QuantAttributes a;
    a.conv.channels = shape.channels;
    a.conv.strides = {shape.stride, shape.stride};
    a.conv.pads = {shape.pad, shape.pad, shape.pad, shape.pad};
    a.conv.activation = shape.activation;
    a.layout = shape.channels_first ? MapLayout::kChannelsFirst : MapLayout::kChannelsLast;
    a.mean_kernel = {shape.mean, shape.mean};
    a.mean_strides = {std::max(shape.mean, 1), std::max(shape.mean, 1)};
    a.pool_kernel = {shape.pool, shape.pool};
    if (shape.pool > 1) {
      a.pool_strides = {2, 2};
      a.pool_pads = {1, 1, 1, 1};
    }
    std::vector<std::int8_t> weights(static_cast<std::size_t>(shape.outputs * shape.kernel * shape.kernel) *
                                     static_cast<std::size_t>(shape.channels));
    for (std::int8_t& weight : weights) weight = static_cast<std::int8_t>(random());
    layer_ =
        std::make_unique<QuantConv2d>(isa, a, FilterShape{shape.outputs, shape.kernel, shape.kernel}, weights.data());
    sizes_ = std::make_unique<QuantSizes>(layer_->sizes(shape.size, shape.size));
    const auto outputs = static_cast<std::size_t>(shape.outputs), size = static_cast<std::size_t>(shape.size);
    fill(x_, size * size * static_cast<std::size_t>(shape.channels));
    fill(scale_, outputs);
    fill(bias_, outputs);
    for (float& value : scale_) value /= 4096;
    y_.resize(static_cast<std::size_t>(sizes_->pool[0] * sizes_->pool[1]) * outputs);
    macs_ = static_cast<double>(sizes_->conv[0] * sizes_->conv[1]) * static_cast<double>(weights.size());
  }

  void run() {
    layer_->run(*sizes_, 1, {x_.data(), scale_.data(), bias_.data(), nullptr, false, 50.0f, y_.data()}, serial());
  }

  const char* name() const { return shape_.name; }
  double macs() const { return macs_; }

 private:
  LayerShape shape_;
  std::unique_ptr<QuantConv2d> layer_;
  std::unique_ptr<QuantSizes> sizes_;
  std::vector<float> x_, scale_, bias_, y_;
  double macs_;
};

// The product of one kernel on 24 windows and four panels that stay in the first cache.
class Peak {
 public:
  explicit Peak(const QuantKernel& kernel) : kernel_(kernel) {
    const std::size_t word = kernel.per_word * bytes_of(kernel.storage), words = 512 / word;
    channels_ = kPanels * kernel.lanes;
    const std::size_t panel_bytes = words * kernel.lanes * word;
    windows_ = make_aligned_array<std::uint8_t>(kPixels * 512);
    panels_ = make_aligned_array<std::uint8_t>(kPanels * panel_bytes);
    std::memset(windows_.get(), 1, kPixels * 512);
    std::memset(panels_.get(), 1, kPanels * panel_bytes);
    start_.assign(channels_, 0);
    floats_.assign(channels_, 1.0f);
    output_.assign(kPixels * channels_, 0.0f);
    row_ = windows_.get();
    product_.rows = &row_;
    product_.runs = 1;
    product_.run_words = words;
    product_.pixel_bytes = 512;
    product_.pixels = kPixels;
    product_.panels = panels_.get();
    product_.panel_bytes = panel_bytes;
    product_.channels = channels_;
    product_.start = start_.data();
    product_.scale = product_.bias = product_.residual = floats_.data();
    product_.output = output_.data();
    product_.output_stride = channels_;
    product_.upper = 1.0f;
  }

  // Returns multiply-accumulates; takes some 10 microseconds.
  double run() const {
    constexpr int kTimes = 8;
    for (int i = 0; i < kTimes; ++i) kernel_.multiply(product_);
    return kTimes * static_cast<double>(kPixels * channels_ * 512 / bytes_of(kernel_.storage));
  }

 private:
  static constexpr std::size_t kPixels = 24, kPanels = 2;
  const QuantKernel& kernel_;
  std::size_t channels_;
  AlignedArray<std::uint8_t> windows_, panels_;
  std::vector<std::int32_t> start_;
  std::vector<float> floats_, output_;
  const std::uint8_t* row_;
  QuantProduct product_{};
};

struct Timed {
  Layer layer;
  std::vector<double> times;    // of each round, in seconds
  std::vector<double> at_peak;  // how long its multiply-accumulates would have taken at the peak of that moment
};

struct Result {
  const char* kernel;
  std::unique_ptr<Peak> peak;
  std::vector<Timed> layers;
};

void print(const Result& result) {
  std::printf("%s\n  %-32s %9s %9s %9s %8s %8s\n", result.kernel, "layer", "median us", "minimum", "p90", "GMAC/s",
              "of peak");
  for (const Timed& timed : result.layers) {
    std::vector<double> shares;
    for (std::size_t r = 0; r < timed.times.size(); ++r) shares.push_back(timed.at_peak[r] / timed.times[r]);
    const double median = percentile(timed.times, 0.5);
    std::printf("  %-32s %9.1f %9.1f %9.1f %8.0f %7.1f%%\n", timed.layer.name(), median * 1e6,
                percentile(timed.times, 0) * 1e6, percentile(timed.times, 0.9) * 1e6, timed.layer.macs() / median / 1e9,
                100 * percentile(shares, 0.5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char *only = nullptr, *only_layer = "";
  int rounds = 50;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--kernel") == 0 && i + 1 < argc) {
      only = argv[++i];
    } else if (std::strcmp(argv[i], "--layer") == 0 && i + 1 < argc) {
      only_layer = argv[++i];
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else {
      std::fprintf(stderr, "usage: %s [--kernel NAME] [--layer TEXT] [--rounds N]\n", argv[0]);
      return 2;
    }
  }

  std::vector<Result> results;
  for (const auto& entry : quant_kernels()) {
    if (!entry.available() || (only != nullptr && std::strcmp(only, entry.name()) != 0)) continue;
    results.push_back({entry.name(), std::make_unique<Peak>(*entry.kernel), {}});
    for (const LayerShape& shape : kLayers) {
      if (std::strstr(shape.name, only_layer) == nullptr) continue;
      results.back().layers.push_back({Layer(shape, entry.isa), {}, {}});
    }
  }
  if (results.empty()) {
    std::fprintf(stderr, "%s: this machine has no kernel '%s'\n", argv[0], only);
    return 2;
  }

  for (int round = 0; round < rounds; ++round) {
    for (Result& result : results) {
      for (Timed& timed : result.layers) {
        double macs = 0;
        const double peak_time = seconds([&] { macs = result.peak->run(); });
        timed.at_peak.push_back(timed.layer.macs() / macs * peak_time);
        timed.layer.run();  // caches as in a network, where the input has just been written
        timed.times.push_back(seconds([&] { timed.layer.run(); }));
      }
    }
  }
  for (const Result& result : results) print(result);
  return 0;
}
