/* One bit for each of `count` values, at most 32. */
INLINED uint32_t signs_of(const float* x, const float* thresholds, int count) {
  uint32_t word = 0;
  int n;
  for (n = 0; n < count; n++) {
    word |= (uint32_t)(x[n] >= thresholds[n]) << n;
  }
  return word;
}

/* The same for a map without groups, whose channels are a multiple of 32, or 32 of them: 32 values have thresholds in a
   row, or the same as the 32 before. */
static void pack_rows_of_words(const float* x, const float* thresholds, int height, int length, int channels,
                               uint32_t* bits) {
  float pattern[WORD_BITS];
  int h, i;
  for (i = 0; i < WORD_BITS; i++) {
    pattern[i] = thresholds[i % channels];
  }
  for (h = 0; h < height; h++, x += length) {
    for (i = 0; i + WORD_BITS <= length; i += WORD_BITS) {
      *bits++ = signs_of(x + i, channels < WORD_BITS ? pattern : thresholds + i % channels, WORD_BITS);
    }
    if (i < length) {
      *bits++ = signs_of(x + i, pattern, length - i);
    }
  }
}

/* As pack_signs, with a threshold for each channel. */
static void pack_signs_per_channel(const float* x, const float* thresholds, int height, int width, int channels,
                                   int groups, uint32_t* bits) {
  const int group_channels = channels / groups;
  int g, h, w, c;
  if (groups == 1 && (channels % WORD_BITS == 0 || WORD_BITS % channels == 0)) {
    pack_rows_of_words(x, thresholds, height, width * channels, channels, bits);
    return;
  }
  for (g = 0; g < groups; g++) {
    const float* t = thresholds + (ptrdiff_t)g * group_channels;
    for (h = 0; h < height; h++) {
      const float* from = x + (ptrdiff_t)h * width * channels + (ptrdiff_t)g * group_channels;
      uint32_t word = 0;
      int used = 0;
      for (w = 0; w < width; w++, from += channels) {
        for (c = 0; c < group_channels; c++) {
          word |= (uint32_t)(from[c] >= t[c]) << used;
          if (++used == WORD_BITS) {
            *bits++ = word;
            word = 0;
            used = 0;
          }
        }
      }
      if (used > 0) {
        *bits++ = word;
      }
    }
  }
}
