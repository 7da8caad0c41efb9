/* A binary convolution from bits to bits: each sum is compared with a whole number. A max pool is part of it: the
   largest of some sums passes where any of them does. */
struct packed_binary_conv2d {
  struct binary_windows windows; /* out_height and out_width are in front of the pool */
  int pad_value;                 /* what a padded tap counts: -1, 0 or 1 */
  int pool_height, pool_width;
  int reader_groups;         /* of the layer that reads the outputs */
  const uint32_t* weights;   /* [outputs][words]; 1 is +1, 0 is -1 */
  const int32_t* thresholds; /* [outputs] */
};

/* The number of the lowest bit that is set; there is one. */
INLINED int lowest_bit(uint32_t word) {
#if defined(__GNUC__)
  return __builtin_ctz(word);
#else
  int n = 0;
  for (; !(word & 1u); word >>= 1) {
    n++;
  }
  return n;
#endif
}

/* `count` bits from bit `bit` on, at most 32. */
INLINED uint32_t bits_at(const uint32_t* words, int bit, int count) {
  uint32_t found = 0;
  copy_bits(&found, 0, words, bit, count);
  return found;
}

/* As sums_of_products, of the outputs alone that `asked` has a 1 for; the other sums stay as they are. */
static void some_sums_of_products(uint32_t asked, const uint32_t* window, const uint32_t* mask, const uint32_t* weights,
                                  int words, int inside, int* sums) {
  for (; asked != 0; asked &= asked - 1) {
    const int n = lowest_bit(asked);
    sums_of_products(window, mask, weights + (ptrdiff_t)n * words, words, inside, 1, sums + n);
  }
}

/* Whether fewer than half of OUTPUTS_AT_ONCE bits are set. */
INLINED int is_few(uint32_t asked) {
  int count = 0;
  for (; asked != 0; asked &= asked - 1) {
    count++;
  }
  return 2 * count < OUTPUTS_AT_ONCE;
}

/* Sets the bits in `passed` of the outputs whose sum at row p and column q passes. In a pool some bits are set already;
   where they are most, the sums of the others alone are computed. window: 2 * words, as for binary_conv2d. */
static void add_passing(const struct packed_binary_conv2d* l, const uint32_t* bits, int p, int q, uint32_t* passed,
                        uint32_t* window) {
  const int words = l->windows.words;
  const int group_outputs = l->windows.outputs / l->windows.groups;
  const int all = l->windows.kernel_height * l->windows.kernel_width * (l->windows.channels / l->windows.groups);
  const struct window w = window_at(&l->windows, p, q);
  const int masked = !w.whole && l->pad_value == 0;
  const uint32_t* mask = masked ? window + words : NULL;
  int sums[OUTPUTS_AT_ONCE] = {0};
  int g, o, n;
  for (g = 0; g < l->windows.groups; g++) {
    const int end = (g + 1) * group_outputs;
    gather_window(&l->windows, &w, g, bits, window);
    if (!w.whole && l->pad_value == 1) {
      pad_with_ones(&l->windows, window);
    }
    for (o = g * group_outputs; o < end; o += OUTPUTS_AT_ONCE) {
      const int count = end - o < OUTPUTS_AT_ONCE ? end - o : OUTPUTS_AT_ONCE;
      const uint32_t* weights = l->weights + (ptrdiff_t)o * words;
      const uint32_t asked = ~bits_at(passed, o, count) & low_bits(count);
      uint32_t found = 0;
      if (asked != low_bits(count) && is_few(asked)) {
        some_sums_of_products(asked, window, mask, weights, words, masked ? w.inside : all, sums);
      } else {
        sums_of_products(window, mask, weights, words, masked ? w.inside : all, count, sums);
      }
      for (n = 0; n < count; n++) {
        found |= (uint32_t)(sums[n] >= l->thresholds[o + n]) << n;
      }
      found &= asked;
      copy_bits(passed, o, &found, 0, count);
    }
  }
}

/* bits: what pack_signs made, or this function. y: the same for the map behind the pool and the reader's groups.
   window: 2 * words, and one word for each 32 outputs. */
static void packed_binary_conv2d(const struct packed_binary_conv2d* l, const uint32_t* bits, uint32_t* y,
                                 uint32_t* window) {
  const int outputs = l->windows.outputs;
  const int height = l->windows.out_height / l->pool_height, width = l->windows.out_width / l->pool_width;
  const int reader_channels = outputs / l->reader_groups;
  const int row_words = (width * reader_channels + WORD_BITS - 1) / WORD_BITS;
  uint32_t* passed = window + 2 * l->windows.words;
  int p, q, i, j, n;
  for (n = 0; n < l->reader_groups * height * row_words; n++) {
    y[n] = 0;
  }
  for (p = 0; p < height; p++) {
    for (q = 0; q < width; q++) {
      for (n = 0; n < (outputs + WORD_BITS - 1) / WORD_BITS; n++) {
        passed[n] = 0;
      }
      for (i = 0; i < l->pool_height; i++) {
        for (j = 0; j < l->pool_width; j++) {
          add_passing(l, bits, p * l->pool_height + i, q * l->pool_width + j, passed, window);
        }
      }
      for (n = 0; n < l->reader_groups; n++) {
        copy_bits(y + (ptrdiff_t)(n * height + p) * row_words, q * reader_channels, passed, n * reader_channels,
                  reader_channels);
      }
    }
  }
}
