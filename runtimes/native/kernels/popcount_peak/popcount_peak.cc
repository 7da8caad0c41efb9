#include "kernels/popcount_peak/popcount_peak.h"

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>

namespace rbnn {
namespace {

using Loop = double (*)(std::size_t steps);

Loop loop_of(const Kernel& kernel) {
  static constexpr struct {
    const char* name;
    Loop loop;
  } kLoops[] = {
#define RBNN_KERNEL(name, features) {#name, peak_##name},
#include "kernels/binary_conv2d/kernels.inc"
  };
  for (const auto& entry : kLoops) {
    if (std::strcmp(entry.name, kernel.name) == 0) return entry.loop;
  }
  throw std::invalid_argument("PopcountPeak: no loop for kernel " + std::string(kernel.name));
}

}  // namespace

double measure_popcount_peak(const Kernel& kernel) {
  using Clock = std::chrono::steady_clock;
  const Loop loop = loop_of(kernel);
  // Doubled until it lasts long enough; all but the last run also warm the core up.
  for (std::size_t steps = 1000;; steps *= 2) {
    const Clock::time_point begin = Clock::now();
    const double bits = loop(steps);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (seconds > 0.00025) return bits / seconds;
  }
}

}  // namespace rbnn
