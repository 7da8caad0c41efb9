/* y = x times matrix + bias. x: [rows][products]. matrix: [products][outputs]. bias: [outputs], or NULL. */
static void matrix_product(const float* x, int rows, int products, const float* matrix, int outputs, const float* bias,
                           float* y) {
  float sums[8];
  int r, o, n;
  for (r = 0; r < rows; r++, x += products, y += outputs) {
    for (o = 0; o < outputs; o += 8) {
      const int count = outputs - o < 8 ? outputs - o : 8;
      row_times_columns(x, products, matrix + o, outputs, count, sums);
      for (n = 0; n < count; n++) {
        y[o + n] = bias == NULL ? sums[n] : sums[n] + bias[o + n];
      }
    }
  }
}
