/* The windows of a binary convolution, and how their bits are gathered. */
struct binary_windows {
  int height, width, channels, groups;
  int out_height, out_width, outputs;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int words; /* of one window of one group */
};

/* One window: where its first tap lies, and which of its taps lie inside of the map. */
struct window {
  int top, left;
  int i_first, i_end, j_first, j_end;
  int inside; /* products of the taps inside, per group */
  int whole;  /* all taps are inside */
};

/* The first tap, of a row or a column, whose place `start + tap * dilation` is not before the map. */
static int first_inside(int start, int dilation) { return start >= 0 ? 0 : (-start + dilation - 1) / dilation; }

/* One more than the last tap whose place is not behind the map; at least `first`. */
static int end_inside(int first, int start, int dilation, int extent, int taps) {
  int end = start >= extent ? 0 : (extent - 1 - start) / dilation + 1;
  end = end < taps ? end : taps;
  return end > first ? end : first;
}

/* The window of output row p and column q. */
static struct window window_at(const struct binary_windows* l, int p, int q) {
  const int channels = l->channels / l->groups;
  struct window w;
  w.top = p * l->stride_y - l->pad_top;
  w.left = q * l->stride_x - l->pad_left;
  w.i_first = first_inside(w.top, l->dilation_y);
  w.i_end = end_inside(w.i_first, w.top, l->dilation_y, l->height, l->kernel_height);
  w.j_first = first_inside(w.left, l->dilation_x);
  w.j_end = end_inside(w.j_first, w.left, l->dilation_x, l->width, l->kernel_width);
  w.inside = (w.i_end - w.i_first) * (w.j_end - w.j_first) * channels;
  w.whole = w.inside == l->kernel_height * l->kernel_width * channels;
  return w;
}

/* Gathers the bits of group g under a window. bits: what pack_signs made. to: l->words words, bits of taps outside 0;
   behind them, if the window is not whole, as many for a mask: 1 inside of the map. */
static void gather_window(const struct binary_windows* l, const struct window* w, int g, const uint32_t* bits,
                          uint32_t* to) {
  const int channels = l->channels / l->groups;
  const int row_words = (l->width * channels + WORD_BITS - 1) / WORD_BITS;
  const int row_bits = l->kernel_width * channels;
  const int columns = w->j_end - w->j_first;
  const uint32_t* map = bits + (ptrdiff_t)g * l->height * row_words;
  int i, j, n;
  for (n = 0; n < (w->whole ? 1 : 2) * l->words; n++) {
    to[n] = 0;
  }
  for (i = w->i_first; i < w->i_end && columns > 0; i++) {
    const uint32_t* row = map + (ptrdiff_t)(w->top + i * l->dilation_y) * row_words;
    const int at = i * row_bits + w->j_first * channels;
    if (l->dilation_x == 1) { /* neighbouring taps are neighbouring bits */
      copy_bits(to, at, row, (w->left + w->j_first) * channels, columns * channels);
    } else {
      for (j = w->j_first; j < w->j_end; j++) {
        copy_bits(to, i * row_bits + j * channels, row, (w->left + j * l->dilation_x) * channels, channels);
      }
    }
    if (!w->whole) {
      set_bits(to + l->words, at, columns * channels);
    }
  }
}
