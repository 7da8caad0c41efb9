// How the NEON kernel counts the bits in which windows and weights differ; for arm_neon_multiply.cc alone.
//
// A vector is 64 bits of each of 2 output channels; a panel is 4 vectors, a tile 4 pixels by 1 panel. Of 64-bit words
// a, b, c (a triple), the weights are stored as a, a ^ b, a ^ b ^ c, and the windows as a, a ^ b, ~(a ^ b ^ c). One xor
// each then gives d1, e = d1 ^ d2 and ~s, where d1, d2, d3 are the bits that differ and s = d1 ^ d2 ^ d3. The other
// output of a carry-save adder is majority(d1, d2, d3) = e ? ~s : d1 (where d1 and d2 differ, d3 = s ^ e = ~s decides;
// else they do): one bsl. popcount(d1) + popcount(d2) + popcount(d3) = popcount(s) + 2 popcount(majority).
//
//   instruction       for one triple of one vector (384 binary products)
//   eor               3
//   bsl               1   the majority
//   cnt               2   of ~s and of the majority, in bytes
//   addp, uadalp      2   a sum of n vectors of bytes into 1 takes n of them: 4 vectors (2 pixels by 2 vectors) become
//                         one by 3 addp, whose pairs of bytes, now one output each, are added to 16-bit sums by uadalp
//
// So 8, or 48 products per instruction, where eor, cnt and add of each word on its own take 9. Additions of pairs cost
// no more than others, and at the end there is one 16-bit lane per output, which nothing has to add up.
//
// Overflow: a lane of ~s is at most 64 a triple, and so is one of the majority; at most kTriplesPerBlock triples keep
// twice the difference, 4 * majority - 2 * ~s, within 16 bits.

#pragma once

#include <arm_neon.h>

#include "kernels/binary_conv2d/arm_neon.h"

namespace rbnn::neon {
namespace {

constexpr std::size_t kVectors = 4;
constexpr std::size_t kTilePixels = 4;
constexpr std::size_t kTriplesPerBlock = 127;
constexpr std::size_t kBroadcastTriple = 12;  // words of one pixel's triple, each 64-bit word twice

// Popcounts of ~s and of the majority. Vector (pixel / 2, half of the panel's channels) has 4 channels of a pixel with
// an even number, then those of the next one, which the last pixel of an odd number lacks.
template <std::size_t kPixels>
struct Counts {
  uint16x8_t not_s[(kPixels + 1) / 2][2], majority[(kPixels + 1) / 2][2];
};

inline uint8x16_t load_bytes(const Word* words) { return vreinterpretq_u8_u32(vld1q_u32(words)); }

// Counts one block of `n` triples, at least 1 and at most kTriplesPerBlock. x: [triple][pixel][kBroadcastTriple]. May
// read one more triple of both.
template <std::size_t kPixels>
inline Counts<kPixels> count(const Word* x, const Word* w, std::size_t n) {
  Counts<kPixels> c;
  for (std::size_t pair = 0; pair < (kPixels + 1) / 2; ++pair) {
    for (std::size_t half = 0; half < 2; ++half) c.not_s[pair][half] = c.majority[pair][half] = vdupq_n_u16(0);
  }
  for (; n != 0; --n, x += kBroadcastTriple * kPixels, w += kPanelTriple) {
    for (std::size_t half = 0; half < 2; ++half) {
      for (std::size_t pair = 0; pair < (kPixels + 1) / 2; ++pair) {
        uint8x16_t not_s[2][2], majority[2][2];  // [pixel][vector]
        for (std::size_t i = 0; i < 2; ++i) {
          for (std::size_t v = 0; v < 2; ++v) {
            if (2 * pair + i >= kPixels) {
              not_s[i][v] = majority[i][v] = vdupq_n_u8(0);
              continue;
            }
            const Word *const xi = x + kBroadcastTriple * (2 * pair + i), *const wv = w + 12 * (2 * half + v);
            const uint8x16_t d1 = veorq_u8(load_bytes(xi), load_bytes(wv));
            const uint8x16_t e = veorq_u8(load_bytes(xi + 4), load_bytes(wv + 4));
            const uint8x16_t ns = veorq_u8(load_bytes(xi + 8), load_bytes(wv + 8));
            not_s[i][v] = vcntq_u8(ns);
            majority[i][v] = vcntq_u8(vbslq_u8(e, ns, d1));
          }
        }
        const auto sum = [](const uint8x16_t(&of)[2][2]) {
          return vpaddq_u8(vpaddq_u8(of[0][0], of[0][1]), vpaddq_u8(of[1][0], of[1][1]));
        };
        c.not_s[pair][half] = vpadalq_u8(c.not_s[pair][half], sum(not_s));
        c.majority[pair][half] = vpadalq_u8(c.majority[pair][half], sum(majority));
      }
    }
  }
  return c;
}

#if !defined(RBNN_NO_INLINE_ASSEMBLY)
// The same for a whole tile, where nearly all of a network's time goes. In assembly, because compilers keep an order
// that suits no Cortex-A53, which issues in order: here every result is used at least 6 instructions later, which is
// its latency there, and what is loaded 8 later.
//
// A triple is 8 steps: pixels 0 to 3 with the first two vectors of weights, then with the other two. A step has 16
// instructions, of which some belong to the steps before it: its own xors, selects and counts of ~s; the counts of the
// majority and the first additions of the step before; and, for the two steps before these, what adds them to the sums.
//
//   v9 to v14    weights, v9 to v11 of the first vector, v12 to v14 of the second
//   v15 to v17   a pixel's three words
//   v18, v19     d1
//   v20 to v23   ~s and its counts; steps with even numbers have the first two registers, others the last two
//   v24 to v27   e, the majority and its counts, likewise
//   v28 to v31   sums of ~s and of the majority in pairs of bytes, of a step with an even number, then of the next one
#define RBNN_STEP(ns0, ns1, e0, e1, load_w0, load_w1, counts, load_x, sum_ns, early, sum_maj, late) \
  "eor " ns0                                                                                        \
  ".16b, v17.16b, v11.16b\n eor v18.16b, v15.16b, v9.16b\n"                                         \
  "eor " e0 ".16b, v16.16b, v10.16b\n" load_w0 "eor " ns1                                           \
  ".16b, v17.16b, v14.16b\n eor v19.16b, v15.16b, v12.16b\n"                                        \
  "eor " e1 ".16b, v16.16b, v13.16b\n" load_w1 counts load_x sum_ns early "bsl " e0 ".16b, " ns0    \
  ".16b, v18.16b\n bsl " e1 ".16b, " ns1                                                            \
  ".16b, v19.16b\n"                                                                                 \
  "cnt " ns0 ".16b, " ns0 ".16b\n cnt " ns1 ".16b, " ns1 ".16b\n" sum_maj late
#define RBNN_COUNTS_OF_EVEN "cnt v24.16b, v24.16b\n cnt v25.16b, v25.16b\n"
#define RBNN_COUNTS_OF_ODD "cnt v26.16b, v26.16b\n cnt v27.16b, v27.16b\n"
#define RBNN_FIRST(load_x) RBNN_STEP("v20", "v21", "v24", "v25", "", "", "", load_x, "", "", "", "")
#define RBNN_EVEN(load_x, early, late)                                                                                 \
  RBNN_STEP("v20", "v21", "v24", "v25", "", "", RBNN_COUNTS_OF_ODD, load_x, "addp v29.16b, v22.16b, v23.16b\n", early, \
            "addp v31.16b, v26.16b, v27.16b\n", late)
#define RBNN_ODD(load_w0, load_w1, load_x, early, late)                                \
  RBNN_STEP("v22", "v23", "v26", "v27", load_w0, load_w1, RBNN_COUNTS_OF_EVEN, load_x, \
            "addp v28.16b, v20.16b, v21.16b\n", early, "addp v30.16b, v24.16b, v25.16b\n", late)
// A pair of steps is added to its sums during the third (late) and the fourth step (both) after its first, and at last
// in the fifth (early).
#define RBNN_PAIR_NS "addp v29.16b, v28.16b, v29.16b\n"
#define RBNN_PAIR_MAJ "addp v31.16b, v30.16b, v31.16b\n"
#define RBNN_ADD_NS(sum) "uadalp %[n" sum "].8h, v29.16b\n"
#define RBNN_ADD_MAJ(sum) "uadalp %[m" sum "].8h, v31.16b\n"
// In the first triple.
#define RBNN_SET_NS(sum) "uaddlp %[n" sum "].8h, v29.16b\n"
#define RBNN_SET_MAJ(sum) "uaddlp %[m" sum "].8h, v31.16b\n"
// Each load has a pointer of its own: an instruction that moves its pointer stalls the A53, and so does any instruction
// of general registers between those of vectors, unless they come together.
#define RBNN_LOAD_X(pixel) "ld1 {v15.16b-v17.16b}, [%[x" pixel "]]\n"
#define RBNN_LOAD_W0(half) "ld1 {v9.16b-v11.16b}, [%[w" half "0]]\n"
#define RBNN_LOAD_W1(half) "ld1 {v12.16b-v14.16b}, [%[w" half "1]]\n"
#define RBNN_MOVE                                                                \
  "subs %[n], %[n], #1\n add %[x0], %[x0], #192\n add %[x1], %[x1], #192\n"      \
  "add %[x2], %[x2], #192\n add %[x3], %[x3], #192\n add %[w00], %[w00], #192\n" \
  "add %[w01], %[w01], #192\n add %[w10], %[w10], #192\n add %[w11], %[w11], #192\n"
// The last five steps of a triple, whose pairs begin in it.
#define RBNN_LAST_STEPS(add_ns, add_maj)                                                       \
  RBNN_ODD(RBNN_LOAD_W0("1"), RBNN_LOAD_W1("1"), RBNN_LOAD_X("0"), RBNN_PAIR_MAJ, add_ns("0")) \
  RBNN_EVEN(RBNN_LOAD_X("1"), add_maj("0"), RBNN_PAIR_NS)                                      \
  RBNN_ODD("", "", RBNN_LOAD_X("2"), RBNN_PAIR_MAJ, add_ns("1"))                               \
  RBNN_EVEN(RBNN_LOAD_X("3"), add_maj("1"), RBNN_PAIR_NS)                                      \
  RBNN_MOVE                                                                                    \
  RBNN_ODD(RBNN_LOAD_W0("0"), RBNN_LOAD_W1("0"), RBNN_LOAD_X("0"), RBNN_PAIR_MAJ, add_ns("2"))
template <>
inline Counts<4> count<4>(const Word* x, const Word* w, std::size_t n) {
  const Word *x0 = x, *x1 = x + 12, *x2 = x + 24, *x3 = x + 36;
  const Word *w00 = w, *w01 = w + 12, *w10 = w + 24, *w11 = w + 36;
  static_assert(kPanelTriple == 48 && kTilePixels * kBroadcastTriple == 48, "192 bytes a triple");
  Counts<4> c;
  // clang-format off: a step per line, and operands by kind
  __asm__ volatile(
      RBNN_LOAD_W0("0") RBNN_LOAD_W1("0") RBNN_LOAD_X("0")
      "movi %[n3].8h, #0\n movi %[m2].8h, #0\n movi %[m3].8h, #0\n"
      RBNN_FIRST(RBNN_LOAD_X("1"))
      RBNN_ODD("", "", RBNN_LOAD_X("2"), "", "")
      RBNN_EVEN(RBNN_LOAD_X("3"), "", RBNN_PAIR_NS)
      RBNN_LAST_STEPS(RBNN_SET_NS, RBNN_SET_MAJ)
      "b.eq 2f\n"
      "1:\n"
      RBNN_EVEN(RBNN_LOAD_X("1"), RBNN_ADD_MAJ("2"), RBNN_PAIR_NS)
      RBNN_ODD("", "", RBNN_LOAD_X("2"), RBNN_PAIR_MAJ, RBNN_ADD_NS("3"))
      RBNN_EVEN(RBNN_LOAD_X("3"), RBNN_ADD_MAJ("3"), RBNN_PAIR_NS)
      RBNN_LAST_STEPS(RBNN_ADD_NS, RBNN_ADD_MAJ)
      "b.ne 1b\n"
      "2:\n"
      RBNN_COUNTS_OF_ODD "addp v29.16b, v22.16b, v23.16b\n" RBNN_ADD_MAJ("2")
      RBNN_PAIR_NS "addp v31.16b, v26.16b, v27.16b\n" RBNN_PAIR_MAJ RBNN_ADD_NS("3") RBNN_ADD_MAJ("3")
      : [x0] "+r"(x0), [x1] "+r"(x1), [x2] "+r"(x2), [x3] "+r"(x3), [w00] "+r"(w00), [w01] "+r"(w01),
        [w10] "+r"(w10), [w11] "+r"(w11), [n] "+r"(n),
        [n0] "=&w"(c.not_s[0][0]), [n1] "=&w"(c.not_s[1][0]), [n2] "=&w"(c.not_s[0][1]), [n3] "=&w"(c.not_s[1][1]),
        [m0] "=&w"(c.majority[0][0]), [m1] "=&w"(c.majority[1][0]), [m2] "=&w"(c.majority[0][1]),
        [m3] "=&w"(c.majority[1][1])
      :
      : "cc", "memory", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
        "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  // clang-format on
  return c;
}
#undef RBNN_LAST_STEPS
#undef RBNN_MOVE
#undef RBNN_LOAD_W1
#undef RBNN_LOAD_W0
#undef RBNN_LOAD_X
#undef RBNN_SET_MAJ
#undef RBNN_SET_NS
#undef RBNN_ADD_MAJ
#undef RBNN_ADD_NS
#undef RBNN_PAIR_MAJ
#undef RBNN_PAIR_NS
#undef RBNN_ODD
#undef RBNN_EVEN
#undef RBNN_FIRST
#undef RBNN_COUNTS_OF_ODD
#undef RBNN_COUNTS_OF_EVEN
#undef RBNN_STEP
#endif  // RBNN_NO_INLINE_ASSEMBLY

}  // namespace
}  // namespace rbnn::neon
