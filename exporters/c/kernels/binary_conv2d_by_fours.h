/* binary_conv2d by mismatches_of_fours. */

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
    const int fours = next_mismatches(window, mask, weights, words, end - o, sums);
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
