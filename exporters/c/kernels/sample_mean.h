/* The mean of a map in the order that the operator fixes, so that it has the same bits everywhere:
   each row in sixteen double lanes, the lanes added in halves, the rows one after the other. */
static float sample_mean(const float* x, int rows, int row_size) {
  double total = 0.0;
  int h, j, lane, half;
  for (h = 0; h < rows; h++, x += row_size) {
    double lanes[16] = {0.0};
    for (j = 0; j + 16 <= row_size; j += 16) {
      for (lane = 0; lane < 16; lane++) {
        lanes[lane] += (double)x[j + lane];
      }
    }
    for (lane = 0; j + lane < row_size; lane++) {
      lanes[lane] += (double)x[j + lane];
    }
    for (half = 8; half > 0; half /= 2) {
      for (lane = 0; lane < half; lane++) {
        lanes[lane] += lanes[lane + half];
      }
    }
    total += lanes[0];
  }
  return (float)(total / ((double)rows * (double)row_size));
}
