/* The maximum over a window; what lies outside of the map never wins, and a NaN always does. */
struct max_pool {
  int height, width, channels;
  int out_height, out_width, outputs;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int in_channel, in_pixel, out_channel, out_pixel;
};

static void max_pool(const struct max_pool* l, const float* x, float* y) {
  int c, p, q, i, j;
  for (c = 0; c < l->channels; c++, x += l->in_channel, y += l->out_channel) {
    for (p = 0; p < l->out_height; p++) {
      for (q = 0; q < l->out_width; q++) {
        float most = -FLT_MAX;
        int found = 0;
        for (i = 0; i < l->kernel_height; i++) {
          const int h = p * l->stride_y - l->pad_top + i * l->dilation_y;
          for (j = 0; j < l->kernel_width; j++) {
            const int w = q * l->stride_x - l->pad_left + j * l->dilation_x;
            if (h >= 0 && h < l->height && w >= 0 && w < l->width) {
              const float value = x[(ptrdiff_t)(h * l->width + w) * l->in_pixel];
              most = !found || value > most || value != value ? value : most;
              found = 1;
            }
          }
        }
        y[(ptrdiff_t)(p * l->out_width + q) * l->out_pixel] = most;
      }
    }
  }
}
