/* `count` low bits set, 1 to 32. */
static uint32_t low_bits(int count) { return UINT32_MAX >> (WORD_BITS - count); }

/* Adds `count` bits of `from`, beginning with bit `from_bit`, to zeros in `to` at bit `to_bit`: one word of `to` after
   the other, from one or two of `from`. */
static void copy_bits(uint32_t* to, int to_bit, const uint32_t* from, int from_bit, int count) {
  to += to_bit / WORD_BITS;
  from += from_bit / WORD_BITS;
  to_bit %= WORD_BITS;
  from_bit %= WORD_BITS;
  while (count > 0) {
    const int piece = WORD_BITS - to_bit < count ? WORD_BITS - to_bit : count;
    uint32_t word = from[0] >> from_bit;
    if (from_bit + piece > WORD_BITS) {
      word |= from[1] << (WORD_BITS - from_bit);
    }
    *to++ |= (word & low_bits(piece)) << to_bit;
    to_bit = 0;
    from_bit += piece;
    from += from_bit / WORD_BITS;
    from_bit %= WORD_BITS;
    count -= piece;
  }
}

/* Sets `count` bits from bit `bit` on. */
static void set_bits(uint32_t* to, int bit, int count) {
  to += bit / WORD_BITS;
  bit %= WORD_BITS;
  while (count > 0) {
    int piece = WORD_BITS - bit < count ? WORD_BITS - bit : count;
    *to++ |= low_bits(piece) << bit;
    bit = 0;
    count -= piece;
  }
}
