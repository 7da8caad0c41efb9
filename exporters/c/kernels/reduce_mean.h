/* The mean over the axis in the middle: the sum of reduce_sum, divided by the count. */
static void reduce_mean(const float* x, int outer, int count, int inner, float* y) {
  int i;
  reduce_sum(x, outer, count, inner, y);
  for (i = 0; i < outer * inner; i++) {
    y[i] = y[i] / (float)count;
  }
}
