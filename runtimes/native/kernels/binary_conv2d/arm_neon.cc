// NEON, part of every 64-bit Arm: no instruction here is newer than Armv8.0 (Cortex-A53 and A72).
// arm_neon_multiply.cc has the product.

#include <arm_neon.h>

#include "kernels/binary_conv2d/arm_neon.h"

#include "kernels/binary_conv2d/window_sums.h"

namespace rbnn {
namespace {

// Runs of whole triples that start at a word, as 32 and more channels have them, in one pass; others as plain C++ does.
void gather_runs(const Runs& runs) {
  const Runs r = runs;
  if (r.position % kWordBits != 0 || r.step % kWordBits != 0 || r.run_bits != r.run_words * kWordBits) {
    gather_runs_portable(r);
    return;
  }
  const Word* from = r.bits + r.position / kWordBits;
  Word* to = r.output;
  for (std::size_t i = 0; i < r.count; ++i, from += r.step / kWordBits, to += r.output_stride) {
    for (std::size_t k = 0; k < r.run_words; k += 3) {
      const Word a = from[k], b = a ^ from[k + 1], c = b ^ from[k + 2];
      to[k] = a;
      to[k + 1] = b;
      to[k + 2] = c;
    }
  }
}

}  // namespace

const ConvKernel conv_neon = {neon::kLanes,   /*triples=*/true,    gather_runs,
                              neon::multiply, neon::multiply_bits, sum_windows<true>};

}  // namespace rbnn
