/* binary_conv2d for WebAssembly with 128-bit SIMD: a vector holds the same word of four outputs, so that no sum runs
   across a vector. weights: [outputs / 4][words][4]; the outputs of a group are a multiple of four. */
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

/* The float steps of four outputs: those of finish. */
INLINED v128_t finish_four(const struct binary_conv2d* l, v128_t inside, v128_t mismatches, int o, v128_t residual) {
  v128_t y = wasm_f32x4_convert_i32x4(wasm_i32x4_sub(inside, wasm_i32x4_add(mismatches, mismatches)));
  y = wasm_f32x4_mul(y, wasm_v128_load(l->scale + o));
  y = wasm_f32x4_add(y, wasm_v128_load(l->bias + o));
  y = wasm_f32x4_add(y, residual);
  if (l->activation == ACTIVATION_HARDTANH) { /* pmax(y, -1) is y < -1 ? -1 : y */
    y = wasm_f32x4_pmin(wasm_f32x4_pmax(y, wasm_f32x4_const_splat(-1.0f)), wasm_f32x4_const_splat(1.0f));
  } else if (l->activation == ACTIVATION_RELU) {
    y = wasm_f32x4_pmax(y, wasm_f32x4_const_splat(0.0f));
  }
  return y;
}

/* The outputs of one window from `o` to `end`. */
INLINED void outputs_by_fours(const struct binary_conv2d* l, const uint32_t* window, const uint32_t* mask, int inside,
                              int o, int end, const float* residual, float* y) {
  const int words = l->windows.words;
  const v128_t all = wasm_i32x4_splat(inside);
  v128_t sums[2];
  int n;
  while (o < end) {
    const uint32_t* weights = l->weights + (ptrdiff_t)o * words;
    const int fours = end - o >= 8 ? 2 : 1;
    if (fours == 2) {
      mismatches_of_fours(window, mask, weights, words, 2, sums);
    } else {
      mismatches_of_fours(window, mask, weights, words, 1, sums);
    }
    for (n = 0; n < fours; n++, o += 4) {
      const v128_t added = l->residual_step ? wasm_v128_load(residual + o) : wasm_v128_load32_splat(residual);
      wasm_v128_store(y + o, finish_four(l, all, sums[n], o, added));
    }
  }
}

static void binary_conv2d_by_fours(const struct binary_conv2d* l, const uint32_t* bits, const float* residual, float* y,
                                   uint32_t* window) {
  const int words = l->windows.words;
  const int group_outputs = l->windows.outputs / l->windows.groups;
  int p, q, g;
  for (p = 0; p < l->windows.out_height; p++) {
    for (q = 0; q < l->windows.out_width; q++) {
      const struct window w = window_at(&l->windows, p, q);
      for (g = 0; g < l->windows.groups; g++) {
        const int o = g * group_outputs;
        gather_window(&l->windows, &w, g, bits, window);
        if (w.whole) {
          outputs_by_fours(l, window, NULL, w.inside, o, o + group_outputs, residual, y);
        } else {
          outputs_by_fours(l, window, window + words, w.inside, o, o + group_outputs, residual, y);
        }
      }
      y += l->windows.outputs;
      residual += l->residual_step * l->windows.outputs;
    }
  }
}
