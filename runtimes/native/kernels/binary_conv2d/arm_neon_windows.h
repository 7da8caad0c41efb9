// What the NEON kernel's product reads of its windows; for arm_neon_multiply.cc alone.
//
// NEON has no operand that broadcasts, so each 64-bit word of a tile's windows is stored twice, once for all panels.
// The pipes of vectors have no part in it: words are combined to triples (arm_neon_count.h) in general registers, and
// stored as pairs of one register.

#pragma once

#include <cstring>

#include "kernels/binary_conv2d/arm_neon.h"
#include "kernels/binary_conv2d/arm_neon_count.h"

namespace rbnn::neon {
namespace {

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

inline std::uint64_t load_pair(const Word* words) {
  std::uint64_t pair;
  std::memcpy(&pair, words, sizeof(pair));
  return pair;
}

// Writes a triple of one window as [word].
inline void broadcast_triple(const Word* words, Word* x) {
  const std::uint64_t a = load_pair(words), b = a ^ load_pair(words + 2), c = ~(b ^ load_pair(words + 4));
#if !defined(RBNN_NO_INLINE_ASSEMBLY)
  // Compilers make vectors first.
  __asm__("stp %[a], %[a], [%[x]]\n stp %[b], %[b], [%[x], #16]\n stp %[c], %[c], [%[x], #32]"
          : "=m"(*reinterpret_cast<Word(*)[kBroadcastTriple]>(x))
          : [a] "r"(a), [b] "r"(b), [c] "r"(c), [x] "r"(x));
#else
  const std::uint64_t pairs[] = {a, a, b, b, c, c};
  std::memcpy(x, pairs, sizeof(pairs));
#endif
}

// Writes `count` triples of each window, from triple `first` on, as [triple][pixel][word].
template <std::size_t kPixels>
inline void broadcast(const Product& p, const Word* const (&window)[kPixels], std::size_t first, std::size_t count,
                      Word* x) {
  const std::size_t per_run = p.run_words / kTripleWords;
  std::size_t at = first % per_run;
  const Word* from[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) from[i] = window[i] + first / per_run * p.run_stride + at * kTripleWords;
  const std::size_t to_next_run = p.run_stride - p.run_words;
  while (true) {
    for (std::size_t left = smaller(count, per_run - at); left != 0; --left, --count) {
      for (std::size_t i = 0; i < kPixels; ++i, x += kBroadcastTriple) {
        broadcast_triple(from[i], x);
        from[i] += kTripleWords;
      }
    }
    if (count == 0) return;
    at = 0;
    for (std::size_t i = 0; i < kPixels; ++i) from[i] += to_next_run;
  }
}

// The same for windows whose runs are no whole triples, with zeros behind their last words.
template <std::size_t kPixels>
inline void broadcast_gathered(const Product& p, const Word* const (&window)[kPixels], std::size_t first,
                               std::size_t count, Word* x) {
  for (std::size_t i = 0; i < kPixels; ++i) {
    Word words[kTripleWords];
    const std::size_t begin = first * kTripleWords;
    const Word* run = window[i] + begin / p.run_words * p.run_stride;
    std::size_t at = begin % p.run_words, left = p.runs * p.run_words - begin;
    for (std::size_t triple = 0; triple < count; ++triple) {
      for (std::size_t k = 0; k < kTripleWords; ++k) {
        if (left == 0) {
          words[k] = 0;
          continue;
        }
        words[k] = run[at];
        --left;
        if (++at == p.run_words) {
          at = 0;
          run += p.run_stride;
        }
      }
      broadcast_triple(words, x + (triple * kPixels + i) * kBroadcastTriple);
    }
  }
}

}  // namespace
}  // namespace rbnn::neon
