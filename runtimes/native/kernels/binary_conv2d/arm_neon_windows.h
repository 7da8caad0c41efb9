// What the NEON kernel's product reads of its windows; for arm_neon_multiply.cc alone.
//
// NEON has no operand that broadcasts, so each 64-bit word of a tile's windows is stored twice, once for all panels.
// The pipes of vectors have no part in it: words are combined to triples (arm_neon_count.h) in general registers, and
// stored as pairs of one register.

#pragma once

#include <cstring>
#include <utility>

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

// Writes a triple of pixel kPixel as [word].
template <std::size_t kPixel>
inline void broadcast_triple(std::uint64_t a, std::uint64_t second, std::uint64_t third, Word* x) {
  const std::uint64_t b = a ^ second, c = ~(b ^ third);
#if !defined(RBNN_NO_INLINE_ASSEMBLY)
  // Compilers make vectors first.
  constexpr std::size_t kBytes = kPixel * kBroadcastTriple * sizeof(Word);
  __asm__ volatile("stp %[a], %[a], [%[x], %[at_a]]\n stp %[b], %[b], [%[x], %[at_b]]\n stp %[c], %[c], [%[x], %[at_c]]"
                   :
                   : [a] "r"(a), [b] "r"(b), [c] "r"(c), [x] "r"(x), [at_a] "i"(kBytes), [at_b] "i"(kBytes + 16),
                     [at_c] "i"(kBytes + 32)
                   : "memory");
#else
  const std::uint64_t pairs[] = {a, a, b, b, c, c};
  std::memcpy(x + kPixel * kBroadcastTriple, pairs, sizeof(pairs));
#endif
}

constexpr std::size_t kBufferTriples = 64;  // of a window: 12,288 bits; of a tile 12 KiB

// Where the 64-bit words of some triples are in a window, counted in words from its start, and which of their bits
// belong to it.
struct Places {
  std::uint32_t offset[3 * kBufferTriples];
  std::uint64_t mask[3 * kBufferTriples];
  bool contiguous;  // the three of each triple follow one another, without a gap
};

// Describes `count` triples, at most kBufferTriples, from triple `first` on. A run has an even number of words.
inline void describe(const Product& p, std::size_t first, std::size_t count, Places& places) {
  const std::size_t per_run = p.run_words / 2, end = p.runs * per_run;
  std::size_t run = 3 * first / per_run, at = 3 * first % per_run;
  places.contiguous = per_run % 3 == 0 && p.run_bits == p.run_words * kWordBits;
  for (std::size_t i = 0; i < 3 * count; ++i) {
    if (run * per_run + at >= end) {  // behind the window, up to a whole triple
      places.offset[i] = 0;
      places.mask[i] = 0;
      continue;
    }
    const std::size_t bits = p.run_bits - 64 * at;
    places.offset[i] = static_cast<std::uint32_t>(run * p.run_stride + 2 * at);
    places.mask[i] = bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
    if (++at == per_run) {
      at = 0;
      ++run;
    }
  }
}

// These two copy all pointers and offsets into variables of their own, which no store can change.
template <std::size_t... kPixel>
inline void broadcast_contiguous(const Places& places, const Word* const* window, std::size_t first, std::size_t count,
                                 Word* x, std::index_sequence<kPixel...>) {
  const Word* const windows[] = {window[kPixel]...};
  const std::uint32_t* offsets = places.offset + 3 * first;
  for (; count != 0; --count, offsets += 3, x += kBroadcastTriple * sizeof...(kPixel)) {
    const std::size_t offset = *offsets;
    const auto word = [&](std::size_t i, std::size_t k) { return load_pair(windows[i] + offset + 2 * k); };
    (broadcast_triple<kPixel>(word(kPixel, 0), word(kPixel, 1), word(kPixel, 2), x), ...);
  }
}

template <std::size_t... kPixel>
inline void broadcast_masked(const Places& places, const Word* const* window, std::size_t first, std::size_t count,
                             Word* x, std::index_sequence<kPixel...>) {
  const Word* const windows[] = {window[kPixel]...};
  const std::uint32_t* offsets = places.offset + 3 * first;
  const std::uint64_t* masks = places.mask + 3 * first;
  for (; count != 0; --count, offsets += 3, masks += 3, x += kBroadcastTriple * sizeof...(kPixel)) {
    const std::size_t offset[] = {offsets[0], offsets[1], offsets[2]};
    const std::uint64_t mask[] = {masks[0], masks[1], masks[2]};
    const auto word = [&](std::size_t i, std::size_t k) { return load_pair(windows[i] + offset[k]) & mask[k]; };
    (broadcast_triple<kPixel>(word(kPixel, 0), word(kPixel, 1), word(kPixel, 2), x), ...);
  }
}

// Writes `count` of the described triples of each window, from `first` on, as [triple][pixel][word].
template <std::size_t kPixels>
inline void broadcast(const Places& places, const Word* const (&window)[kPixels], std::size_t first, std::size_t count,
                      Word* x) {
  const auto pixels = std::make_index_sequence<kPixels>();
  if (places.contiguous) {
    broadcast_contiguous(places, window, first, count, x, pixels);
  } else {
    broadcast_masked(places, window, first, count, x, pixels);
  }
}

}  // namespace
}  // namespace rbnn::neon
