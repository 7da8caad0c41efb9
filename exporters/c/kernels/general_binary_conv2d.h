/* A value per output, or one for all of them. */
struct per_output {
  const float* values;
  int step; /* 1: one element per output; 0: one element for all */
};

/* A binary convolution with slopes, a residual in front of or behind the activation, padding of either sign, and what
   the window's own sum and its padded taps add. */
struct general_binary_conv2d {
  struct binary_windows windows;
  int pad_value;       /* what a padded tap counts: -1, 0 or 1 */
  int residual_step;   /* 1: one element per output; 0: one element for all */
  int residual_behind; /* the residual is added behind the activation */
  enum activation activation;
  const uint32_t* weights; /* [outputs][words]; 1 is +1, 0 is -1 */
  const float *scale, *bias;
  struct per_output window_sum; /* factor of the sum of the window's signs; NULL: none */
  struct per_output border;     /* [kernel_height][kernel_width][outputs], added for padded taps; NULL: none */
  struct per_output negative, positive, post; /* of ACTIVATION_PRELU: the slopes, and what is added behind them */
};

static float value_of(const struct per_output* v, int o) { return v->values[(ptrdiff_t)v->step * o]; }

/* The sum of `border` over the padded taps of a window, row by row. */
static float border_sum(const struct general_binary_conv2d* l, const struct window* w, int o) {
  float sum = 0.0f;
  int i, j;
  for (i = 0; i < l->windows.kernel_height; i++) {
    for (j = 0; j < l->windows.kernel_width; j++) {
      if (i < w->i_first || i >= w->i_end || j < w->j_first || j >= w->j_end) {
        sum = sum + value_of(&l->border, (i * l->windows.kernel_width + j) * l->windows.outputs + o);
      }
    }
  }
  return sum;
}

static float finish_general(const struct general_binary_conv2d* l, const struct window* w, int sum, int signs, int o,
                            float residual) {
  float y = (float)sum * l->scale[o];
  y = y + l->bias[o];
  y = y + (l->residual_behind ? 0.0f : residual);
  if (l->border.values != NULL && !w->whole) {
    y = y + border_sum(l, w, o);
  }
  if (l->window_sum.values != NULL) {
    const float product = (float)signs * value_of(&l->window_sum, o);
    y = y + product;
  }
  if (l->activation == ACTIVATION_PRELU) {
    y = y * (y < 0.0f ? value_of(&l->negative, o) : value_of(&l->positive, o));
    y = y + value_of(&l->post, o);
  } else {
    y = activate(y, l->activation);
  }
  return l->residual_behind ? y + residual : y;
}

/* bits: what pack_signs or pack_signs_per_channel made. residual and y: [out_height][out_width][outputs]; they may be
   the same memory. window: 3 * words, for the bits under the kernel, their mask (binary_conv2d), and zeros, against
   which the bits are counted where their sum is asked for.
   With K taps times channels that count, a sum of products is K - 2 * mismatches, one of signs 2 * ones - K. */
static void general_binary_conv2d(const struct general_binary_conv2d* l, const uint32_t* bits, const float* residual,
                                  float* y, uint32_t* window) {
  const int words = l->windows.words;
  const int group_outputs = l->windows.outputs / l->windows.groups;
  const int all = l->windows.kernel_height * l->windows.kernel_width * (l->windows.channels / l->windows.groups);
  uint32_t *mask = window + words, *zeros = mask + words;
  int p, q, g, o, n;
  for (n = 0; n < words; n++) {
    zeros[n] = 0;
  }
  for (p = 0; p < l->windows.out_height; p++) {
    for (q = 0; q < l->windows.out_width; q++) {
      const struct window w = window_at(&l->windows, p, q);
      const int masked = !w.whole && l->pad_value == 0;
      const int counted = masked ? w.inside : all;
      const uint32_t* weights = l->weights;
      for (g = 0; g < l->windows.groups; g++) {
        int signs = 0;
        gather_window(&l->windows, &w, g, bits, window);
        if (!w.whole && l->pad_value == 1) {
          pad_with_ones(&l->windows, window);
        }
        if (l->window_sum.values != NULL) {
          signs = 2 * count_mismatches(window, zeros, NULL, words) - counted;
        }
        for (o = g * group_outputs; o < (g + 1) * group_outputs; o++, weights += words) {
          const int mismatches =
              masked ? count_mismatches(window, weights, mask, words) : count_mismatches(window, weights, NULL, words);
          y[o] = finish_general(l, &w, counted - 2 * mismatches, signs, o, residual[l->residual_step * o]);
        }
      }
      y += l->windows.outputs;
      residual += l->residual_step * l->windows.outputs;
    }
  }
}
