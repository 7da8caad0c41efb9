#include "kernels/popcount_peak/popcount_peak.h"

#include <chrono>

namespace rbnn {

const KernelTable<PopcountPeak>& popcount_peak_kernels() {
  static const KernelTable<PopcountPeak> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, popcount_peak_##isa},
#include "kernels/popcount_peak/kernels.inc"
  };
  return kernels;
}

double measure_popcount_peak(Isa isa) {
  using Clock = std::chrono::steady_clock;
  const PopcountPeak loop = kernel_for(popcount_peak_kernels(), isa);
  // Doubled until it lasts long enough; all but the last run also warm the core up.
  for (std::size_t steps = 1000;; steps *= 2) {
    const Clock::time_point begin = Clock::now();
    const double bits = loop(steps);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (seconds > 0.00025) return bits / seconds;
  }
}

}  // namespace rbnn
