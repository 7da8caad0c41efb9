/* As pack_signs, with a threshold for each channel. */
static void pack_signs_per_channel(const float* x, const float* thresholds, int height, int width, int channels,
                                   int groups, uint32_t* bits) {
  const int group_channels = channels / groups;
  int g, h, w, c;
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
