/* y = x times matrix, for one row: each output is +0 plus its products in ascending order.
   x: [products]. matrix: [products][outputs]. sums: `count` outputs, at most 8. */
static void row_times_columns(const float* x, int products, const float* matrix, int outputs, int count, float* sums) {
  int k, n;
  if (count == 8) {
    float s[8] = {0.0f};
    for (k = 0; k < products; k++, matrix += outputs) {
      for (n = 0; n < 8; n++) {
        s[n] = s[n] + x[k] * matrix[n];
      }
    }
    for (n = 0; n < 8; n++) {
      sums[n] = s[n];
    }
    return;
  }
  for (n = 0; n < count; n++) {
    float s = 0.0f;
    for (k = 0; k < products; k++) {
      s = s + x[k] * matrix[(ptrdiff_t)k * outputs + n];
    }
    sums[n] = s;
  }
}
