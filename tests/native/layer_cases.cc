#include "layer_cases.h"

#include <algorithm>
#include <array>
#include <cfenv>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"

namespace rbnn::test {
namespace {

// Three threads that live as long as the program: emulators keep memory of each thread that has ended.
class Pool {
 public:
  Pool() {
    for (std::size_t t = 0; t < threads_.size(); ++t) threads_[t] = std::thread([this, t] { serve(t); });
  }

  ~Pool() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  // Each thread does every third task, from the last to the first: one task must not depend on another.
  void run(Parallel::Task task, std::size_t total, void* data) {
    const std::lock_guard<std::mutex> turn(turn_);  // callers on several threads wait for each other
    std::unique_lock<std::mutex> lock(mutex_);
    task_ = task;
    total_ = total;
    data_ = data;
    std::fegetenv(&environment_);
    busy_ = threads_.size();
    ++round_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void serve(std::size_t thread) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (std::uint64_t seen = 0;;) {
      changed_.wait(lock, [&] { return ended_ || round_ != seen; });
      if (ended_) return;
      seen = round_;
      std::fesetenv(&environment_);
      lock.unlock();
      for (std::size_t i = total_; i-- > 0;) {
        if (i % threads_.size() == thread) task_(data_, i);
      }
      lock.lock();
      if (--busy_ == 0) changed_.notify_all();
    }
  }

  std::array<std::thread, 3> threads_;
  std::mutex turn_, mutex_;
  std::condition_variable changed_;
  Parallel::Task task_ = nullptr;
  std::size_t total_ = 0;
  void* data_ = nullptr;
  std::fenv_t environment_{};
  std::size_t busy_ = 0;
  std::uint64_t round_ = 0;
  bool ended_ = false;
};

void run_tasks(void*, Parallel::Task task, std::size_t total, void* data) {
  static Pool pool;
  pool.run(task, total, data);
}

}  // namespace

float normal(Random& random) {
  std::int32_t sum = -6 * 65536;
  for (int i = 0; i < 12; ++i) sum += static_cast<std::int32_t>(random() % 65536);
  return static_cast<float>(sum) / 65536.0f;
}

Parallel on_threads() { return {run_tasks, nullptr}; }

void fill(Case& c, Random& random) {
  const Attributes& a = c.attributes;
  const std::int64_t inputs = c.samples * c.height * c.width * a.channels;
  const std::int64_t outputs = c.samples * c.output_height() * c.output_width() * c.filter.outputs;
  const std::int64_t bytes = (a.channels / a.groups + 7) / 8;
  const bool ties = random() % 2 == 0;  // many values equal to each other, and to the mean
  for (std::int64_t i = 0; i < inputs; ++i) c.x.push_back(ties ? std::round(normal(random)) : normal(random));
  for (std::int64_t o = 0; o < c.filter.outputs; ++o) {
    c.scale.push_back(normal(random) / 8);
    c.bias.push_back(normal(random));
  }
  const std::int64_t residuals = c.residual == Case::Residual::kFull ? outputs : 1;
  for (std::int64_t i = 0; i < residuals; ++i) c.r.push_back(normal(random));
  // Bits behind the last channel are set at random too: a kernel must ignore them.
  for (std::int64_t i = 0; i < c.filter.outputs * c.filter.height * c.filter.width * bytes; ++i) {
    c.w.push_back(static_cast<std::uint8_t>(random()));
  }
}

void fill_general(Case& c, Random& random) {
  const auto draw = [&](std::vector<float>& values, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) values.push_back(std::round(4 * normal(random)) / 4);
  };
  const auto some = [&](std::int64_t count) { return random() % 3 == 0 ? 1 : count; };
  const std::int64_t outputs = c.filter.outputs;
  if (c.attributes.threshold == Threshold::kPerChannel) draw(c.thresholds, some(c.attributes.channels));
  if (random() % 2) draw(c.window_sum, some(outputs));
  if (random() % 2) draw(c.border, some(c.filter.height * c.filter.width * outputs));
  if (c.attributes.activation != Activation::kPrelu) return;
  draw(c.neg, some(outputs));
  if (random() % 2) draw(c.pos, some(outputs));
  if (random() % 2) draw(c.post, some(outputs));
}

std::string describe(Isa isa, const Case& c) {
  const Attributes& a = c.attributes;
  const auto pair = [](const auto& values) { return std::to_string(values[0]) + "," + std::to_string(values[1]); };
  return std::string("kernel ") + instruction_set(isa).name + " X [" + std::to_string(c.samples) + "," +
         std::to_string(c.height) + "," + std::to_string(c.width) + "," + std::to_string(a.channels) + "] O " +
         std::to_string(c.filter.outputs) + " K " + std::to_string(c.filter.height) + "x" +
         std::to_string(c.filter.width) + " strides " + pair(a.strides) + " pads " + pair(a.pads) + "," +
         std::to_string(a.pads[2]) + "," + std::to_string(a.pads[3]) + " dilations " + pair(a.dilations) + " groups " +
         std::to_string(a.groups) + " pad value " + std::to_string(a.pad_value);
}

std::vector<float> run(Isa isa, const Case& c, const Parallel& parallel, std::size_t window_budget) {
  const BinaryConv2d layer(isa, c.attributes, c.filter, c.w.data(), window_budget);
  const auto plan = layer.plan(c.height, c.width);
  // Outputs between two guards; a residual of the outputs' shape shares their memory, as ONNX Runtime may have it.
  constexpr std::size_t kGuard = 64;
  const float guard = -12345.0f;
  const auto outputs =
      static_cast<std::size_t>(c.samples) * plan->pixels.size() * static_cast<std::size_t>(c.filter.outputs);
  std::vector<float> memory(outputs + 2 * kGuard, guard);
  float* const y = memory.data() + kGuard;
  const float* r = c.residual == Case::Residual::kAbsent ? nullptr : c.r.data();
  // Where it is added before the activation, that is.
  if (c.residual == Case::Residual::kFull && c.attributes.residual == ResidualPlace::kBeforeActivation) {
    std::copy(c.r.begin(), c.r.end(), y);
    r = y;
  }
  const auto per_channel = [](const std::vector<float>& values) {
    return BinaryConv2d::PerChannel{values.empty() ? nullptr : values.data(), values.size() == 1};
  };
  layer.run(
      *plan, static_cast<std::size_t>(c.samples),
      {c.x.data(), c.scale.data(), c.bias.data(), r, c.residual == Case::Residual::kOne, y, per_channel(c.thresholds),
       per_channel(c.window_sum), per_channel(c.neg), per_channel(c.pos), per_channel(c.post), per_channel(c.border)},
      parallel);
  for (std::size_t i = 0; i < kGuard; ++i) {
    RBNN_CHECK(memory[i] == guard && memory[memory.size() - 1 - i] == guard, describe(isa, c));
  }
  return {y, y + outputs};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;  // a NaN's sign and payload are not defined
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return a.size() == b.size();
}

void check(const Case& c) {
  const std::vector<float> expected = binary_conv2d(c);
  for (const float y : expected) {
    std::uint32_t bits = 0x7fc00000;  // of every NaN, whose sign and payload are not defined
    if (!std::isnan(y)) std::memcpy(&bits, &y, sizeof(bits));
    digest(bits);
  }
  for (const InstructionSet& set : instruction_sets()) {
    if (!set.available()) continue;
    RBNN_CHECK(same_bits(run(set.isa, c, serial()), expected), describe(set.isa, c));
    for (const std::size_t budget : {std::size_t{0}, std::size_t{500}, std::size_t{4000}}) {
      RBNN_CHECK(same_bits(run(set.isa, c, serial(), budget), expected),
                 describe(set.isa, c) + " in bands of " + std::to_string(budget) + " bytes");
    }
    RBNN_CHECK(same_bits(run(set.isa, c, on_threads(), 4000), expected), describe(set.isa, c) + " in bands on threads");
    RBNN_CHECK(same_bits(run(set.isa, c, on_threads()), expected), describe(set.isa, c) + " on threads");
  }
}

Case make_case(std::int64_t channels, std::int64_t outputs, std::int64_t kernel, std::int64_t size, std::int64_t pad,
               std::int64_t samples) {
  Case c{};
  c.attributes.channels = channels;
  c.attributes.pads = {pad, pad, pad, pad};
  c.filter = {outputs, kernel, kernel};
  c.samples = samples;
  c.height = c.width = size;
  c.residual = Case::Residual::kFull;
  return c;
}

}  // namespace rbnn::test
