/* How many bits differ in two arrays of words: everywhere if mask is NULL, else where it has a 1.
   Forced into its two callers, one with NULL and one with a mask, so that each has a loop without a choice. */
INLINED uint32_t differ(const uint32_t* a, const uint32_t* b, const uint32_t* mask, int n) {
  return mask == NULL ? a[n] ^ b[n] : (a[n] ^ b[n]) & mask[n];
}

#if defined(__ARM_NEON)
#include <arm_neon.h>

INLINED int count_mismatches(const uint32_t* a, const uint32_t* b, const uint32_t* mask, int words) {
  uint32x4_t sums = vdupq_n_u32(0);
  uint32_t lanes[4];
  int n = 0, total;
  for (; n + 4 <= words; n += 4) {
    uint32x4_t bits = veorq_u32(vld1q_u32(a + n), vld1q_u32(b + n));
    if (mask != NULL) {
      bits = vandq_u32(bits, vld1q_u32(mask + n));
    }
    sums = vpadalq_u16(sums, vpaddlq_u8(vcntq_u8(vreinterpretq_u8_u32(bits))));
  }
  vst1q_u32(lanes, sums);
  total = (int)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
  for (; n < words; n++) {
    total += __builtin_popcount(differ(a, b, mask, n));
  }
  return total;
}
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>

/* Four words at once. The bits of each byte are counted into bytes, at most 8 * 31 in each. */
INLINED int count_mismatches(const uint32_t* a, const uint32_t* b, const uint32_t* mask, int words) {
  v128_t sums = wasm_i32x4_const(0, 0, 0, 0);
  int n = 0, total;
  while (n + 4 <= words) {
    const int end = words - n < 4 * 31 ? words : n + 4 * 31;
    v128_t bytes = wasm_i32x4_const(0, 0, 0, 0);
    for (; n + 4 <= end; n += 4) {
      const v128_t bits = wasm_v128_xor(wasm_v128_load(a + n), wasm_v128_load(b + n));
      bytes =
          wasm_i8x16_add(bytes, wasm_i8x16_popcnt(mask == NULL ? bits : wasm_v128_and(bits, wasm_v128_load(mask + n))));
    }
    sums = wasm_i32x4_add(sums, wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(bytes)));
  }
  total = wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1) + wasm_i32x4_extract_lane(sums, 2) +
          wasm_i32x4_extract_lane(sums, 3);
  for (; n < words; n++) {
    total += __builtin_popcount(differ(a, b, mask, n));
  }
  return total;
}
#elif defined(__POPCNT__) || defined(__wasm__)
#include <string.h>

/* Two words at once; in which order they lie does not matter. */
INLINED uint64_t two_words(const uint32_t* words) {
  uint64_t both;
  memcpy(&both, words, sizeof both);
  return both;
}

INLINED int count_mismatches(const uint32_t* a, const uint32_t* b, const uint32_t* mask, int words) {
  int n = 0, total = 0;
  for (; n + 2 <= words; n += 2) {
    const uint64_t bits = two_words(a + n) ^ two_words(b + n);
    total += __builtin_popcountll(mask == NULL ? bits : bits & two_words(mask + n));
  }
  return n < words ? total + __builtin_popcount(differ(a, b, mask, n)) : total;
}
#else
/* Counts the bits of each four: at most 4 in each. */
INLINED uint32_t count_in_fours(uint32_t x) {
  x -= (x >> 1) & UINT32_C(0x55555555);
  return (x & UINT32_C(0x33333333)) + ((x >> 2) & UINT32_C(0x33333333));
}

/* Adds neighbouring fours: at most 24 in each byte, as each four holds at most 12. */
INLINED uint32_t fours_to_bytes(uint32_t fours) {
  return (fours & UINT32_C(0x0F0F0F0F)) + ((fours >> 4) & UINT32_C(0x0F0F0F0F));
}

/* Three words are counted in fours (at most 12 in each), up to ten such triples in bytes (at most 240). */
INLINED int count_mismatches(const uint32_t* a, const uint32_t* b, const uint32_t* mask, int words) {
  int n = 0, total = 0;
  while (n < words) {
    const int end = words - n < 30 ? words : n + 30;
    uint32_t bytes = 0;
    for (; n + 3 <= end; n += 3) {
      bytes += fours_to_bytes(count_in_fours(differ(a, b, mask, n)) + count_in_fours(differ(a, b, mask, n + 1)) +
                              count_in_fours(differ(a, b, mask, n + 2)));
    }
    for (; n < end; n++) {
      bytes += fours_to_bytes(count_in_fours(differ(a, b, mask, n)));
    }
    bytes = (bytes & UINT32_C(0x00FF00FF)) + ((bytes >> 8) & UINT32_C(0x00FF00FF));
    total += (int)((bytes + (bytes >> 16)) & UINT32_C(0xFFFF));
  }
  return total;
}
#endif
