/* `count` low bits set, 1 to 32. */
static uint32_t low_bits(int count) { return UINT32_MAX >> (WORD_BITS - count); }

/* Adds `count` bits of `from`, beginning with bit `from_bit`, to zeros in `to` at bit `to_bit`. */
static void copy_bits(uint32_t* to, int to_bit, const uint32_t* from, int from_bit, int count) {
  to += to_bit / WORD_BITS;
  from += from_bit / WORD_BITS;
  to_bit %= WORD_BITS;
  from_bit %= WORD_BITS;
  while (count > 0) {
    int piece = WORD_BITS - (to_bit > from_bit ? to_bit : from_bit);
    piece = piece < count ? piece : count;
    *to |= ((*from >> from_bit) & low_bits(piece)) << to_bit;
    to_bit += piece;
    from_bit += piece;
    count -= piece;
    if (to_bit == WORD_BITS) {
      to_bit = 0;
      to++;
    }
    if (from_bit == WORD_BITS) {
      from_bit = 0;
      from++;
    }
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
