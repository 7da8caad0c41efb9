/* The reverse of pack_signs: +1 where a bit is 1, else -1. */
static void unpack_signs(const uint32_t* bits, int height, int width, int channels, int groups, float* x) {
  const int group_channels = channels / groups;
  const int row_words = (width * group_channels + WORD_BITS - 1) / WORD_BITS;
  int g, h, n;
  for (g = 0; g < groups; g++) {
    for (h = 0; h < height; h++, bits += row_words) {
      float* to = x + (ptrdiff_t)h * width * channels + (ptrdiff_t)g * group_channels;
      for (n = 0; n < width * group_channels; n++) {
        const uint32_t bit = bits[n / WORD_BITS] >> (n % WORD_BITS) & 1u;
        to[(ptrdiff_t)(n / group_channels) * channels + n % group_channels] = bit ? 1.0f : -1.0f;
      }
    }
  }
}
