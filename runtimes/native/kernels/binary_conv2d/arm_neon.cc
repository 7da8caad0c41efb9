// NEON, part of every 64-bit Arm: no instruction here is newer than Armv8.0 (Cortex-A53 and A72).
// arm_neon_multiply.cc has the product.

#include <cstring>

#include "kernels/binary_conv2d/arm_neon.h"
#include "kernels/binary_conv2d/window_sums.h"

namespace rbnn {
namespace {

// Runs of whole words that start at a word, as 32 and more channels have them; others as plain C++ does.
void gather_runs(const Runs& runs) {
  const Runs r = runs;
  if (r.position % kWordBits != 0 || r.step % kWordBits != 0 || r.run_bits != r.run_words * kWordBits) {
    gather_runs_portable(r);
    return;
  }
  const Word* from = r.bits + r.position / kWordBits;
  Word* to = r.output;
  for (std::size_t i = 0; i < r.count; ++i, from += r.step / kWordBits, to += r.output_stride) {
    for (std::size_t k = 0; k < r.run_words; ++k) to[k] = from[k];
  }
}

// From words [word][channel] to triples (arm_neon.h), whose words are made of two and combined (arm_neon_count.h).
void arrange(const Word* words, std::size_t count, Word* arranged) {
  constexpr std::size_t kLanes = neon::kLanes;
  for (std::size_t triple = 0; triple < count; triple += neon::kTripleWords, words += neon::kPanelTriple) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      Word* const to = arranged + lane / 2 * 12 + lane % 2 * 2;
      for (std::size_t part = 0; part < 2; ++part) {
        const Word* const from = words + part * kLanes + lane;
        to[part] = from[0];
        to[4 + part] = from[0] ^ from[2 * kLanes];
        to[8 + part] = from[0] ^ from[2 * kLanes] ^ from[4 * kLanes];
      }
    }
    arranged += neon::kPanelTriple;
  }
}

}  // namespace

const ConvKernel conv_neon = {neon::kLanes,
                              /*run_multiple=*/2,
                              /*triples=*/false,  gather_runs, neon::multiply,     neon::multiply_bits,
                              sum_windows<false>,
                              /*expansion=*/1,    arrange,     neon::kTripleWords, neon::kUncounted};

}  // namespace rbnn
