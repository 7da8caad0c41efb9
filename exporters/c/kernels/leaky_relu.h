/* Elements below 0 times a slope. x and y may be the same memory. */
static void leaky_relu(const float* x, int size, float slope, float* y) {
  int i;
  for (i = 0; i < size; i++) {
    const float value = x[i];
    y[i] = value < 0.0f ? value * slope : value;
  }
}
