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

/* The values of `count` outputs from `o` on; `room` is for those that are not in a row. */
INLINED const float* values_of(const struct per_output* v, int o, int count, float* room) {
  int n;
  if (v->step) {
    return v->values + o;
  }
  for (n = 0; n < count; n++) {
    room[n] = v->values[0];
  }
  return room;
}

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

/* The float steps behind `count` sums, of the outputs from `o` on. Step by step, so that compilers find vector
   instructions. residual and y: of the pixel. */
static void finish_general(const struct general_binary_conv2d* l, const struct window* w, const int* sums, int count,
                           int signs, int o, const float* residual, float* y) {
  float values[OUTPUTS_AT_ONCE], room[2][OUTPUTS_AT_ONCE];
  int n;
  for (n = 0; n < count; n++) {
    const float product = (float)sums[n] * l->scale[o + n];
    values[n] = product + l->bias[o + n];
  }
  if (l->residual_behind || !l->residual_step) {
    const float added = l->residual_behind ? 0.0f : residual[0];
    for (n = 0; n < count; n++) {
      values[n] = values[n] + added;
    }
  } else {
    for (n = 0; n < count; n++) {
      values[n] = values[n] + residual[o + n];
    }
  }
  if (l->border.values != NULL && !w->whole) {
    for (n = 0; n < count; n++) {
      values[n] = values[n] + border_sum(l, w, o + n);
    }
  }
  if (l->window_sum.values != NULL) {
    const float* factors = values_of(&l->window_sum, o, count, room[0]);
    for (n = 0; n < count; n++) {
      const float product = (float)signs * factors[n];
      values[n] = values[n] + product;
    }
  }
  if (l->activation == ACTIVATION_PRELU) {
    const float *negative = values_of(&l->negative, o, count, room[0]),
                *positive = values_of(&l->positive, o, count, room[1]), *post;
    for (n = 0; n < count; n++) {
      values[n] = values[n] * (values[n] < 0.0f ? negative[n] : positive[n]);
    }
    post = values_of(&l->post, o, count, room[0]);
    for (n = 0; n < count; n++) {
      values[n] = values[n] + post[n];
    }
  } else {
    for (n = 0; n < count; n++) {
      values[n] = activate(values[n], l->activation);
    }
  }
  if (l->residual_behind) {
    for (n = 0; n < count; n++) {
      values[n] = values[n] + residual[l->residual_step * (o + n)];
    }
  }
  for (n = 0; n < count; n++) {
    y[o + n] = values[n];
  }
}

typedef void sums_function(const uint32_t* window, const uint32_t* mask, const uint32_t* weights, int words, int inside,
                           int count, int* sums);

/* bits: what pack_signs or pack_signs_per_channel made. residual and y: [out_height][out_width][outputs]; they may be
   the same memory. window: 3 * words, for the bits under the kernel, their mask (binary_conv2d), and zeros, against
   which the bits are counted where their sum is asked for. sums_of: a function like sums_of_products.
   With K taps times channels that count, a sum of products is K - 2 * mismatches, one of signs 2 * ones - K. */
INLINED void general_windows(const struct general_binary_conv2d* l, const uint32_t* bits, const float* residual,
                             float* y, uint32_t* window, sums_function* sums_of) {
  const int words = l->windows.words;
  const int group_outputs = l->windows.outputs / l->windows.groups;
  const int all = l->windows.kernel_height * l->windows.kernel_width * (l->windows.channels / l->windows.groups);
  uint32_t *mask = window + words, *zeros = mask + words;
  int sums[OUTPUTS_AT_ONCE];
  int p, q, g, o, n;
  for (n = 0; n < words; n++) {
    zeros[n] = 0;
  }
  for (p = 0; p < l->windows.out_height; p++) {
    for (q = 0; q < l->windows.out_width; q++) {
      const struct window w = window_at(&l->windows, p, q);
      const int masked = !w.whole && l->pad_value == 0;
      const int counted = masked ? w.inside : all;
      for (g = 0; g < l->windows.groups; g++) {
        const int end = (g + 1) * group_outputs;
        int signs = 0;
        gather_window(&l->windows, &w, g, bits, window);
        if (!w.whole && l->pad_value == 1) {
          pad_with_ones(&l->windows, window);
        }
        if (l->window_sum.values != NULL) {
          signs = 2 * count_mismatches(window, zeros, NULL, words) - counted;
        }
        for (o = g * group_outputs; o < end; o += OUTPUTS_AT_ONCE) {
          const int count = end - o < OUTPUTS_AT_ONCE ? end - o : OUTPUTS_AT_ONCE;
          const uint32_t* weights = l->weights + (ptrdiff_t)o * words;
          if (masked) {
            sums_of(window, mask, weights, words, counted, count, sums);
          } else {
            sums_of(window, NULL, weights, words, counted, count, sums);
          }
          finish_general(l, &w, sums, count, signs, o, residual, y);
        }
      }
      y += l->windows.outputs;
      residual += l->residual_step * l->windows.outputs;
    }
  }
}
