/* 0 where an element is below 0; a NaN stays. x and y may be the same memory. */
static void relu(const float* x, int size, float* y) {
  int i;
  for (i = 0; i < size; i++) {
    const float value = x[i];
    y[i] = value < 0.0f ? 0.0f : value;
  }
}
