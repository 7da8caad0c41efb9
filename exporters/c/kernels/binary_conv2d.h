enum activation { ACTIVATION_NONE, ACTIVATION_HARDTANH, ACTIVATION_RELU };

/* A binary convolution: bits times bits, then scale, bias, residual and activation. */
struct binary_conv2d {
  int height, width, channels, groups;
  int out_height, out_width, outputs;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int words;         /* of one window of one group */
  int residual_step; /* 1: one element per output; 0: one element for all */
  enum activation activation;
  const uint32_t* weights; /* [outputs][words]; 1 is +1, 0 is -1 */
  const float *scale, *bias;
};

static int largest(int a, int b) { return a > b ? a : b; }

/* The first tap, of a row or a column, whose place `start + tap * dilation` is not before the map. */
static int first_inside(int start, int dilation) { return start >= 0 ? 0 : (-start + dilation - 1) / dilation; }

/* One more than the last tap whose place is not behind the map. */
static int end_inside(int start, int dilation, int extent, int taps) {
  const int end = start >= extent ? 0 : (extent - 1 - start) / dilation + 1;
  return end < taps ? end : taps;
}

static float finish(int sum, float scale, float bias, float residual, enum activation activation) {
  float y = (float)sum * scale;
  y = y + bias;
  y = y + residual;
  if (activation == ACTIVATION_HARDTANH) {
    return y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y;
  }
  if (activation == ACTIVATION_RELU) {
    return y < 0.0f ? 0.0f : y;
  }
  return y;
}

/* bits: what pack_signs made. residual and y: [out_height][out_width][outputs]; they may be the same memory.
   window: 2 * words, for the bits under the kernel and, where it reaches over the border, a mask behind them:
   1 inside of the map, because a tap outside counts for nothing.
   With K taps times channels inside the map, the sum of products is K - 2 * mismatches. */
static void binary_conv2d(const struct binary_conv2d* l, const uint32_t* bits, const float* residual, float* y,
                          uint32_t* window) {
  const int channels = l->channels / l->groups;
  const int group_outputs = l->outputs / l->groups;
  const int row_words = (l->width * channels + WORD_BITS - 1) / WORD_BITS;
  const int row_bits = l->kernel_width * channels;
  uint32_t* mask = window + l->words;
  int p, q, g, i, j, o, n;
  for (p = 0; p < l->out_height; p++) {
    const int top = p * l->stride_y - l->pad_top;
    const int i_first = first_inside(top, l->dilation_y);
    const int i_end = end_inside(top, l->dilation_y, l->height, l->kernel_height);
    for (q = 0; q < l->out_width; q++) {
      const int left = q * l->stride_x - l->pad_left;
      const int j_first = first_inside(left, l->dilation_x);
      const int j_end = end_inside(left, l->dilation_x, l->width, l->kernel_width);
      const int columns = largest(j_end - j_first, 0);
      const int inside = largest(i_end - i_first, 0) * columns * channels;
      const int whole = inside == l->kernel_height * row_bits;
      for (g = 0; g < l->groups; g++) {
        const uint32_t* map = bits + (ptrdiff_t)g * l->height * row_words;
        const uint32_t* weights = l->weights + (ptrdiff_t)g * group_outputs * l->words;
        for (n = 0; n < (whole ? 1 : 2) * l->words; n++) {
          window[n] = 0;
        }
        for (i = i_first; i < i_end && columns > 0; i++) {
          const uint32_t* row = map + (ptrdiff_t)(top + i * l->dilation_y) * row_words;
          const int to = i * row_bits + j_first * channels;
          if (l->dilation_x == 1) { /* neighbouring taps are neighbouring bits */
            copy_bits(window, to, row, (left + j_first) * channels, columns * channels);
          } else {
            for (j = j_first; j < j_end; j++) {
              copy_bits(window, i * row_bits + j * channels, row, (left + j * l->dilation_x) * channels, channels);
            }
          }
          if (!whole) {
            set_bits(mask, to, columns * channels);
          }
        }
        for (o = g * group_outputs; o < (g + 1) * group_outputs; o++, weights += l->words) {
          const int mismatches = whole ? count_mismatches(window, weights, NULL, l->words)
                                       : count_mismatches(window, weights, mask, l->words);
          y[o] =
              finish(inside - 2 * mismatches, l->scale[o], l->bias[o], residual[l->residual_step * o], l->activation);
        }
      }
      y += l->outputs;
      residual += l->residual_step * l->outputs;
    }
  }
}
