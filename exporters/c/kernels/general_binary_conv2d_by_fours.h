/* sums_of_products by mismatches_of_fours; count is a multiple of four. */
INLINED void sums_by_fours(const uint32_t* window, const uint32_t* mask, const uint32_t* weights, int words, int inside,
                           int count, int* sums) {
  const v128_t all = wasm_i32x4_splat(inside);
  v128_t found[2];
  int n, k;
  for (n = 0; n < count; weights += (ptrdiff_t)8 * words) {
    const int fours = next_mismatches(window, mask, weights, words, count - n, found);
    for (k = 0; k < fours; k++, n += 4) {
      wasm_v128_store(sums + n, wasm_i32x4_sub(all, wasm_i32x4_add(found[k], found[k])));
    }
  }
}

static void general_binary_conv2d_by_fours(const struct general_binary_conv2d* l, const uint32_t* bits,
                                           const float* residual, float* y, uint32_t* window) {
  general_windows(l, bits, residual, y, window, sums_by_fours);
}
