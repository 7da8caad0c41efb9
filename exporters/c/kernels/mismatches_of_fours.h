/* For WebAssembly with 128-bit SIMD: a vector holds the same word of four outputs, so that no sum runs across a vector.
   weights: [outputs / 4][words][4]; the outputs of a group are a multiple of four. */
#include <wasm_simd128.h>

enum { MOST_WORDS = 31 }; /* whose mismatches, 8 at most in each byte, a byte can hold */

/* Adds to each byte the bits of it that differ; mask: as for sums_of_products. */
INLINED v128_t add_mismatches(v128_t bytes, v128_t window, const uint32_t* mask, int n, const uint32_t* weights) {
  v128_t bits = wasm_v128_xor(window, wasm_v128_load(weights));
  if (mask != NULL) {
    bits = wasm_v128_and(bits, wasm_v128_load32_splat(mask + n));
  }
  return wasm_i8x16_add(bytes, wasm_i8x16_popcnt(bits));
}

/* Adds the four bytes of each word to an int. */
INLINED v128_t add_bytes(v128_t sums, v128_t bytes) {
  return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(wasm_u16x8_extadd_pairwise_u8x16(bytes), wasm_i16x8_const_splat(1)));
}

/* The mismatches of `fours` times four outputs, one or two. */
INLINED void mismatches_of_fours(const uint32_t* window, const uint32_t* mask, const uint32_t* weights, int words,
                                 int fours, v128_t* sums) {
  v128_t a = wasm_i32x4_const_splat(0), b = a;
  int n = 0;
  while (n < words) {
    const int end = words - n < MOST_WORDS ? words : n + MOST_WORDS;
    v128_t a_bytes = wasm_i32x4_const_splat(0), b_bytes = a_bytes;
    for (; n < end; n++) {
      const v128_t word = wasm_v128_load32_splat(window + n);
      a_bytes = add_mismatches(a_bytes, word, mask, n, weights + 4 * n);
      if (fours == 2) {
        b_bytes = add_mismatches(b_bytes, word, mask, n, weights + 4 * (words + n));
      }
    }
    a = add_bytes(a, a_bytes);
    b = add_bytes(b, b_bytes);
  }
  sums[0] = a;
  sums[1] = b;
}

/* Those of the next eight outputs, or of four where fewer than eight are left. Returns how many fours they are. */
INLINED int next_mismatches(const uint32_t* window, const uint32_t* mask, const uint32_t* weights, int words, int left,
                            v128_t* sums) {
  if (left >= 8) {
    mismatches_of_fours(window, mask, weights, words, 2, sums);
    return 2;
  }
  mismatches_of_fours(window, mask, weights, words, 1, sums);
  return 1;
}
