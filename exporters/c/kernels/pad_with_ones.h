/* Gives padded taps the bit 1, where the mask behind the window's words has 0; not the bits behind the last tap. */
static void pad_with_ones(const struct binary_windows* l, uint32_t* window) {
  const int bits = l->kernel_height * l->kernel_width * (l->channels / l->groups);
  int n;
  for (n = 0; n < l->words; n++) {
    window[n] |= ~window[l->words + n];
  }
  window[l->words - 1] &= low_bits(bits - (l->words - 1) * WORD_BITS);
}
