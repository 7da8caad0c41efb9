/* A binary convolution: bits times bits, then scale, bias, residual and activation. */
struct binary_conv2d {
  struct binary_windows windows;
  int residual_step; /* 1: one element per output; 0: one element for all */
  enum activation activation;
  const uint32_t* weights; /* [outputs][words]; 1 is +1, 0 is -1 */
  const float *scale, *bias;
};

/* bits: what pack_signs made. residual and y: [out_height][out_width][outputs]; they may be the same memory.
   window: 2 * words, for the bits under the kernel and, where it reaches over the border, a mask behind them:
   1 inside of the map, because a tap outside counts for nothing. Sums first, then the float steps of some outputs
   together: so that compilers find vector instructions for the latter. */
static void binary_conv2d(const struct binary_conv2d* l, const uint32_t* bits, const float* residual, float* y,
                          uint32_t* window) {
  const int words = l->windows.words;
  const int group_outputs = l->windows.outputs / l->windows.groups;
  int sums[OUTPUTS_AT_ONCE];
  int p, q, g, o, n;
  for (p = 0; p < l->windows.out_height; p++) {
    for (q = 0; q < l->windows.out_width; q++) {
      const struct window w = window_at(&l->windows, p, q);
      for (g = 0; g < l->windows.groups; g++) {
        const int end = (g + 1) * group_outputs;
        gather_window(&l->windows, &w, g, bits, window);
        for (o = g * group_outputs; o < end; o += OUTPUTS_AT_ONCE) {
          const int count = end - o < OUTPUTS_AT_ONCE ? end - o : OUTPUTS_AT_ONCE;
          sums_of_products(window, w.whole ? NULL : window + words, l->weights + (ptrdiff_t)o * words, words, w.inside,
                           count, sums);
          for (n = 0; n < count; n++) {
            y[o + n] =
                finish(sums[n], l->scale[o + n], l->bias[o + n], residual[l->residual_step * (o + n)], l->activation);
          }
        }
      }
      y += l->windows.outputs;
      residual += l->residual_step * l->windows.outputs;
    }
  }
}
