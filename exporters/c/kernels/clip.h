/* Elements between two limits; a NaN stays. x and y may be the same memory. */
static void clip(const float* x, int size, float low, float high, float* y) {
  int i;
  for (i = 0; i < size; i++) {
    const float value = x[i];
    y[i] = value < low ? low : value > high ? high : value;
  }
}
