/* A row of bits: `used` bits of the last word are written. */
struct bit_writer {
  uint32_t* to;
  uint32_t word;
  int used;
};

/* Appends one bit per value: 1 where it is at least the threshold; a NaN gives 0. */
static void append_signs(struct bit_writer* row, const float* x, int count, float threshold) {
  int i = 0, n;
  while (i < count) {
    if (row->used == 0 && count - i >= WORD_BITS) {
      uint32_t word = 0;
      for (n = 0; n < WORD_BITS; n++) {
        word |= (uint32_t)(x[i + n] >= threshold) << n;
      }
      *row->to++ = word;
      i += WORD_BITS;
      continue;
    }
    row->word |= (uint32_t)(x[i] >= threshold) << row->used;
    i++;
    if (++row->used == WORD_BITS) {
      *row->to++ = row->word;
      row->word = 0;
      row->used = 0;
    }
  }
}

/* x: [height][width][channels]. bits: [groups][height] rows of whole words; bit w * (channels / groups) + c of
   a row is channel c of its group at column w. */
static void pack_signs(const float* x, float threshold, int height, int width, int channels, int groups,
                       uint32_t* bits) {
  const int group_channels = channels / groups;
  const int row_words = (width * group_channels + WORD_BITS - 1) / WORD_BITS;
  int g, h, w;
  for (g = 0; g < groups; g++) {
    for (h = 0; h < height; h++, bits += row_words) {
      const float* from = x + (ptrdiff_t)h * width * channels + (ptrdiff_t)g * group_channels;
      struct bit_writer row = {NULL, 0, 0};
      row.to = bits;
      if (groups == 1) {
        append_signs(&row, from, width * channels, threshold);
      } else {
        for (w = 0; w < width; w++, from += channels) {
          append_signs(&row, from, group_channels, threshold);
        }
      }
      if (row.used > 0) {
        *row.to = row.word;
      }
    }
  }
}
