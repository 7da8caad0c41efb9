// The meaning of a bit. This is the C++ mirror of rbnn_deploy/bits.py, which is the definition:
//
// 1. A bit is 1 for +1 and 0 for -1.
// 2. bit = (value >= threshold): both zeros are +1 against 0, a NaN is -1.
// 3. Least significant bit first: bit i of byte j is element 8j + i, and so bit i of Word j is element 32j + i.
// 4. The bits behind the last element are 0.
//
// Everything here is constexpr or has internal linkage: these functions are compiled into files with different
// instruction-set flags, and the linker must not pick one file's copy for another.

#pragma once

#include <cstddef>
#include <cstdint>

namespace rbnn {

// The unit in which kernels read bits. 32 bits and not 64, because a vector of 32-bit lanes then ends up holding the
// int32 sums of as many output channels, with no narrowing step, and because small layers waste fewer bits.
using Word = std::uint32_t;
constexpr std::size_t kWordBits = 32;

constexpr std::size_t bytes_for_bits(std::size_t bits) { return bits / 8 + (bits % 8 != 0); }
constexpr std::size_t words_for_bits(std::size_t bits) { return bits / kWordBits + (bits % kWordBits != 0); }

static inline Word sign_bit(float value, float threshold) { return value >= threshold ? 1u : 0u; }

// Reads `count` (1 to 32) bits that start at bit `position`; touches no word that holds none of them.
static inline Word read_bits(const Word* bits, std::size_t position, std::size_t count) {
  const std::size_t word = position / kWordBits, shift = position % kWordBits;
  Word value = bits[word] >> shift;
  if (shift + count > kWordBits) value |= bits[word + 1] << (kWordBits - shift);
  return count == kWordBits ? value : value & ((Word{1} << count) - 1);
}

// Copies a range of bits into words that are 0 there.
static inline void copy_bits(Word* to, std::size_t to_position, const Word* from, std::size_t from_position,
                             std::size_t count) {
  while (count != 0) {
    const std::size_t shift = to_position % kWordBits;
    const std::size_t step = count < kWordBits - shift ? count : kWordBits - shift;
    to[to_position / kWordBits] |= read_bits(from, from_position, step) << shift;
    to_position += step;
    from_position += step;
    count -= step;
  }
}

}  // namespace rbnn
