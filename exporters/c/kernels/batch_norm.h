/* A BatchNormalization: y = factor * (x - mean) / deviation + bias of each channel, whose elements lie in runs of
   `inner`. x and y may be the same memory. */
static void batch_norm(const float* x, int size, int channels, int inner, const float* factor, const float* mean,
                       const float* deviation, const float* bias, float* y) {
  int i;
  for (i = 0; i < size; i++) {
    const int c = i / inner % channels;
    float value = x[i] - mean[c];
    value = factor[c] * value;
    value = value / deviation[c];
    y[i] = value + bias[c];
  }
}
