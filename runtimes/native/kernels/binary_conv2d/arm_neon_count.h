// How the NEON kernel counts the bits in which windows and weights differ; for arm_neon_multiply.cc alone.
//
// A vector is 4 output channels' 32-bit words of one k; a tile is 3 pixels by 1 panel of 2 vectors. Of the
// words a, b, c of a triple (kernel.h), x is stored as a, a ^ b, ~(a ^ b ^ c): the xor with w's gives d1, e and ~s, and
// then the majority, e ? ~s : d1, is one bsl.
//
//   instruction       for one triple (3 words, 384 binary products per vector)
//   eor               3
//   bsl               1   the majority
//   cnt               2   of ~s and of the majority, in bytes
//   add, sub          2   into counters of bytes
//
// So 8, or 48 products per instruction, where eor, cnt and add of each word on its own take 9. A chain through more
// words (eor of all, a bsl, cnt and add for every other) tends to 51; a tree of adders on top costs 3 instructions an
// adder and spares 2.
//
// Overflow: a triple moves each byte of a counter by at most 8, so a block of 31 (248) fits. `ones` goes down from 8 a
// triple by the popcount of ~s, and so ends at the popcount of s. In 16 bits a block is at most 2 * (248 + 2 * 248);
// a 32-bit lane counts bits of one window, fewer than 2^24.

#pragma once

#include <arm_neon.h>

#include "kernels/binary_conv2d/arm_neon.h"

namespace rbnn::neon {
namespace {

constexpr std::size_t kVectors = kLanes / 4;
constexpr std::size_t kTilePixels = 3;
constexpr std::size_t kTriplesPerBlock = 31;

inline uint8x16_t load_bytes(const Word* words) { return vreinterpretq_u8_u32(vld1q_u32(words)); }

// Counts of differing bits, in bytes.
template <std::size_t kPixels>
struct Counters {
  uint8x16_t ones[kPixels][kVectors], twos[kPixels][kVectors];
};

// Counts one block of `n` triples, at least 1 and at most kTriplesPerBlock.
template <std::size_t kPixels>
inline Counters<kPixels> count(const Word* x, const Word* w, std::size_t n) {
  Counters<kPixels> c;
  for (std::size_t i = 0; i < kPixels; ++i) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      c.ones[i][v] = vdupq_n_u8(static_cast<std::uint8_t>(8 * n));
      c.twos[i][v] = vdupq_n_u8(0);
    }
  }
  for (; n != 0; --n, x += 12 * kPixels, w += 3 * kLanes) {
    for (std::size_t i = 0; i < kPixels; ++i) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Word *const xi = x + 12 * i, *const wv = w + 4 * v;
        const uint8x16_t d1 = veorq_u8(load_bytes(xi), load_bytes(wv));
        const uint8x16_t e = veorq_u8(load_bytes(xi + 4), load_bytes(wv + kLanes));
        const uint8x16_t not_s = veorq_u8(load_bytes(xi + 8), load_bytes(wv + 2 * kLanes));
        c.ones[i][v] = vsubq_u8(c.ones[i][v], vcntq_u8(not_s));
        c.twos[i][v] = vaddq_u8(c.twos[i][v], vcntq_u8(vbslq_u8(e, not_s, d1)));
      }
    }
  }
  return c;
}

#if !defined(RBNN_NO_INLINE_ASSEMBLY)
// The same for a whole tile, where nearly all of a network's time goes. In assembly, because compilers keep neither all
// counters in registers (GCC 12) nor an order that suits a Cortex-A53, which issues in order (GCC and clang): here
// every result is used at least 6 instructions later, which is its latency there, and what is loaded 8 later.
//
// [o..] are ones, [t..] twos, both by pixel and vector; v12 to v17 the weights of a triple, [word][vector]; v18 to v20
// a pixel's three words. The rest are pairs, one for each vector: v21 d1; v23 e, then the majority, which is counted
// and added during the next pixel; v25 ~s; v27 the majority's counts; v29 those of ~s. v31 is what ones start with.
#define RBNN_PIXEL(count_before, load_x, load_second, add_before, load_first, subtract) \
  "eor v25.16b, v20.16b, v16.16b\n eor v26.16b, v20.16b, v17.16b\n"                     \
  "eor v21.16b, v18.16b, v12.16b\n eor v22.16b, v18.16b, v13.16b\n" count_before        \
  "eor v23.16b, v19.16b, v14.16b\n eor v24.16b, v19.16b, v15.16b\n" load_x              \
  "cnt v29.16b, v25.16b\n cnt v30.16b, v26.16b\n" load_second add_before load_first     \
  "bsl v23.16b, v25.16b, v21.16b\n bsl v24.16b, v26.16b, v22.16b\n" subtract
#define RBNN_COUNT "cnt v27.16b, v23.16b\n cnt v28.16b, v24.16b\n"
#define RBNN_ADD(pixel) \
  "add %[t" pixel "0].16b, %[t" pixel "0].16b, v27.16b\n add %[t" pixel "1].16b, %[t" pixel "1].16b, v28.16b\n"
#define RBNN_SUB(pixel) \
  "sub %[o" pixel "0].16b, %[o" pixel "0].16b, v29.16b\n sub %[o" pixel "1].16b, %[o" pixel "1].16b, v30.16b\n"
// In the first triple the counters become the counts.
#define RBNN_COUNT_FIRST(pixel) "cnt %[t" pixel "0].16b, v23.16b\n cnt %[t" pixel "1].16b, v24.16b\n"
#define RBNN_SUB_FIRST(pixel) "sub %[o" pixel "0].16b, v31.16b, v29.16b\n sub %[o" pixel "1].16b, v31.16b, v30.16b\n"
// Each load has a pointer of its own, moved at the loop's end: an instruction that moves its pointer stalls the A53.
#define RBNN_LOAD_X(pointer) "ld1 {v18.16b-v20.16b}, [%[" pointer "]]\n"
#define RBNN_LOAD_FIRST "ld1 {v12.16b-v14.16b}, [%[first]]\n"
#define RBNN_LOAD_SECOND "ld1 {v15.16b-v17.16b}, [%[second]]\n"
#define RBNN_TRIPLE(load_x, load_second, load_first)                                  \
  RBNN_PIXEL(RBNN_COUNT, RBNN_LOAD_X("pixel1"), "", RBNN_ADD("2"), "", RBNN_SUB("0")) \
  RBNN_PIXEL(RBNN_COUNT, RBNN_LOAD_X("pixel2"), "", RBNN_ADD("0"), "", RBNN_SUB("1")) \
  RBNN_PIXEL(RBNN_COUNT, load_x, load_second, RBNN_ADD("1"), load_first, RBNN_SUB("2"))
#define RBNN_ADVANCE                                                                                   \
  "add %[pixel0], %[pixel0], #144\n add %[pixel1], %[pixel1], #144\n add %[pixel2], %[pixel2], #144\n" \
  "add %[first], %[first], #96\n add %[second], %[second], #96\n"
template <>
inline Counters<3> count<3>(const Word* x, const Word* w, std::size_t n) {
  // Each triple is loaded during the one before; behind the only one nothing can be, so it is loaded again.
  const std::size_t next = n > 1;
  const Word *pixel0 = x + 36 * next, *pixel1 = x + 12, *pixel2 = x + 24;
  const Word *first = w + 24 * next, *second = first + 12;
  Counters<3> c;
  // clang-format off: a step per line, and operands by kind
  __asm__ volatile(
      "ld1 {v18.16b-v20.16b}, [%[x]]\n ld1 {v12.16b-v14.16b}, [%[w]], #48\n ld1 {v15.16b-v17.16b}, [%[w]]\n"
      "dup v31.16b, %w[start]\n movi %[t20].16b, #0\n movi %[t21].16b, #0\n"
      RBNN_PIXEL("", RBNN_LOAD_X("pixel1"), "", "", "", RBNN_SUB_FIRST("0"))
      RBNN_PIXEL(RBNN_COUNT_FIRST("0"), RBNN_LOAD_X("pixel2"), "", "", "", RBNN_SUB_FIRST("1"))
      RBNN_PIXEL(RBNN_COUNT_FIRST("1"), RBNN_LOAD_X("pixel0"), RBNN_LOAD_SECOND, "", RBNN_LOAD_FIRST,
                 RBNN_SUB_FIRST("2"))
      RBNN_ADVANCE
      "subs %[n], %[n], #1\n b.eq 3f\n subs %[n], %[n], #1\n b.eq 2f\n"
      "1:\n"
      RBNN_TRIPLE(RBNN_LOAD_X("pixel0"), RBNN_LOAD_SECOND, RBNN_LOAD_FIRST)
      "subs %[n], %[n], #1\n"
      RBNN_ADVANCE
      "b.ne 1b\n"
      "2:\n"
      RBNN_TRIPLE("", "", "")  // the last triple, behind which nothing can be loaded
      "3:\n"
      RBNN_COUNT RBNN_ADD("2")
      : [pixel0] "+r"(pixel0), [pixel1] "+r"(pixel1), [pixel2] "+r"(pixel2), [first] "+r"(first),
        [second] "+r"(second), [n] "+r"(n), [w] "+r"(w),
        [o00] "=&w"(c.ones[0][0]), [o01] "=&w"(c.ones[0][1]), [o10] "=&w"(c.ones[1][0]),
        [o11] "=&w"(c.ones[1][1]), [o20] "=&w"(c.ones[2][0]), [o21] "=&w"(c.ones[2][1]),
        [t00] "=&w"(c.twos[0][0]), [t01] "=&w"(c.twos[0][1]), [t10] "=&w"(c.twos[1][0]),
        [t11] "=&w"(c.twos[1][1]), [t20] "=&w"(c.twos[2][0]), [t21] "=&w"(c.twos[2][1])
      : [start] "r"(8 * n), [x] "r"(x)
      : "cc", "memory", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  // clang-format on
  return c;
}
#undef RBNN_ADVANCE
#undef RBNN_TRIPLE
#undef RBNN_LOAD_SECOND
#undef RBNN_LOAD_FIRST
#undef RBNN_LOAD_X
#undef RBNN_SUB_FIRST
#undef RBNN_COUNT_FIRST
#undef RBNN_SUB
#undef RBNN_ADD
#undef RBNN_COUNT
#undef RBNN_PIXEL
#endif  // RBNN_NO_INLINE_ASSEMBLY

}  // namespace
}  // namespace rbnn::neon
