/* The maximum over the axis in the middle; a NaN wins.
   x: [outer][count][inner]. y: [outer][inner], which may begin where x does. */
static void reduce_max(const float* x, int outer, int count, int inner, float* y) {
  int o, n, i;
  for (o = 0; o < outer; o++, x += (ptrdiff_t)count * inner, y += inner) {
    for (i = 0; i < inner; i++) {
      y[i] = x[i];
    }
    for (n = 1; n < count; n++) {
      for (i = 0; i < inner; i++) {
        const float value = x[(ptrdiff_t)n * inner + i];
        y[i] = value > y[i] || value != value ? value : y[i];
      }
    }
  }
}
