/* The mean over a window: +0 plus its elements in ascending order, divided by their number. */
struct average_pool {
  int height, width, channels;
  int out_height, out_width, outputs;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int in_channel, in_pixel, out_channel, out_pixel;
  int count_padding; /* 1: elements outside of the map count as zeros, 0: not at all */
};

static void average_pool(const struct average_pool* l, const float* x, float* y) {
  int c, p, q, i, j;
  for (c = 0; c < l->channels; c++, x += l->in_channel, y += l->out_channel) {
    for (p = 0; p < l->out_height; p++) {
      for (q = 0; q < l->out_width; q++) {
        float sum = 0.0f;
        int count = 0;
        for (i = 0; i < l->kernel_height; i++) {
          const int h = p * l->stride_y - l->pad_top + i * l->dilation_y;
          for (j = 0; j < l->kernel_width; j++) {
            const int w = q * l->stride_x - l->pad_left + j * l->dilation_x;
            const int inside = h >= 0 && h < l->height && w >= 0 && w < l->width;
            if (inside) {
              sum = sum + x[(ptrdiff_t)(h * l->width + w) * l->in_pixel];
            }
            count += inside || l->count_padding;
          }
        }
        y[(ptrdiff_t)(p * l->out_width + q) * l->out_pixel] = sum / (float)count;
      }
    }
  }
}
