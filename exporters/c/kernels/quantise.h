/* Floats to bytes: each activation as its integer less the smallest one, which gives 0 to 255. Where a window has more
   than one element, its mean is quantised. Channels, rows and pixels of the input lie in_channel, in_row and in_pixel
   apart, which gives either layout. */
struct quantise {
  int out_height, out_width, channels; /* of the bytes: [out_height][out_width][channels] */
  int window_height, window_width, stride_y, stride_x;
  int in_channel, in_row, in_pixel;
  int low, high;
  float factor;
};

/* The sum's order is fixed, so that it has the same bits everywhere. */
static float mean_of_window(const struct quantise* l, const float* x) {
  double total = 0.0;
  int i, j;
  for (i = 0; i < l->window_height; i++) {
    for (j = 0; j < l->window_width; j++) {
      total += (double)x[(ptrdiff_t)i * l->in_row + (ptrdiff_t)j * l->in_pixel];
    }
  }
  return (float)(total / ((double)l->window_height * (double)l->window_width));
}

/* A NaN becomes low. */
static uint8_t byte_of(float m, float factor, float low, float high) {
  const float shift = 12582912.0f; /* 1.5 * 2^23: the last bit of a sum with it is worth 1, and ties go to even */
  const float v = m * factor;
  const float above = v > low ? v : low;
  const float between = above < high ? above : high;
  const float whole = (between + shift) - shift;
  return (uint8_t)(int)(whole - low);
}

static void quantise(const struct quantise* l, const float* x, uint8_t* y) {
  const float low = (float)l->low, high = (float)l->high;
  const int one = l->window_height == 1 && l->window_width == 1;
  int p, q, c;
  for (p = 0; p < l->out_height; p++) {
    for (q = 0; q < l->out_width; q++) {
      const float* from = x + (ptrdiff_t)p * l->stride_y * l->in_row + (ptrdiff_t)q * l->stride_x * l->in_pixel;
      for (c = 0; c < l->channels; c++, from += l->in_channel) {
        *y++ = byte_of(one ? *from : mean_of_window(l, from), l->factor, low, high);
      }
    }
  }
}
