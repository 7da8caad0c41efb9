/* Sets all elements to one value. */
static void fill(float* y, int size, float value) {
  int i;
  for (i = 0; i < size; i++) {
    y[i] = value;
  }
}
