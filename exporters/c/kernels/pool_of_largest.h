/* The max pool of QuantConv2d: the first element that no later one exceeds, so a NaN is taken only where it is the
   first. Unlike ONNX's MaxPool it has a fixed result for NaN. */
struct pool_of_largest {
  int height, width, channels;
  int out_height, out_width;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left;
};

/* x: [height][width][channels]. y: [out_height][out_width][channels]. */
static void pool_of_largest(const struct pool_of_largest* l, const float* x, float* y) {
  int p, q, c, h, w;
  for (p = 0; p < l->out_height; p++) {
    const int top = p * l->stride_y - l->pad_top, bottom = top + l->kernel_height;
    const int first_row = top > 0 ? top : 0, end_row = bottom < l->height ? bottom : l->height;
    for (q = 0; q < l->out_width; q++, y += l->channels) {
      const int left = q * l->stride_x - l->pad_left, right = left + l->kernel_width;
      const int first_column = left > 0 ? left : 0, end_column = right < l->width ? right : l->width;
      const float* first = x + ((ptrdiff_t)first_row * l->width + first_column) * l->channels;
      for (c = 0; c < l->channels; c++) {
        y[c] = first[c];
      }
      for (h = first_row; h < end_row; h++) {
        for (w = first_column; w < end_column; w++) {
          const float* from = x + ((ptrdiff_t)h * l->width + w) * l->channels;
          for (c = 0; c < l->channels; c++) {
            y[c] = from[c] > y[c] ? from[c] : y[c];
          }
        }
      }
    }
  }
}
