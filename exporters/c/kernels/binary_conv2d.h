/* A binary convolution: bits times bits, then scale, bias, residual and activation. */
struct binary_conv2d {
  struct binary_windows windows;
  int residual_step; /* 1: one element per output; 0: one element for all */
  enum activation activation;
  const uint32_t* weights; /* [outputs][words]; 1 is +1, 0 is -1 */
  const float *scale, *bias;
};

static float finish(int sum, float scale, float bias, float residual, enum activation activation) {
  float y = (float)sum * scale;
  y = y + bias;
  y = y + residual;
  return activate(y, activation);
}

/* bits: what pack_signs made. residual and y: [out_height][out_width][outputs]; they may be the same memory.
   window: 2 * words, for the bits under the kernel and, where it reaches over the border, a mask behind them:
   1 inside of the map, because a tap outside counts for nothing.
   With K taps times channels inside the map, the sum of products is K - 2 * mismatches. */
static void binary_conv2d(const struct binary_conv2d* l, const uint32_t* bits, const float* residual, float* y,
                          uint32_t* window) {
  const int words = l->windows.words;
  const int group_outputs = l->windows.outputs / l->windows.groups;
  int p, q, g, o;
  for (p = 0; p < l->windows.out_height; p++) {
    for (q = 0; q < l->windows.out_width; q++) {
      const struct window w = window_at(&l->windows, p, q);
      const uint32_t* weights = l->weights;
      for (g = 0; g < l->windows.groups; g++) {
        gather_window(&l->windows, &w, g, bits, window);
        for (o = g * group_outputs; o < (g + 1) * group_outputs; o++, weights += words) {
          const int mismatches = w.whole ? count_mismatches(window, weights, NULL, words)
                                         : count_mismatches(window, weights, window + words, words);
          y[o] =
              finish(w.inside - 2 * mismatches, l->scale[o], l->bias[o], residual[l->residual_step * o], l->activation);
        }
      }
      y += l->windows.outputs;
      residual += l->residual_step * l->windows.outputs;
    }
  }
}
