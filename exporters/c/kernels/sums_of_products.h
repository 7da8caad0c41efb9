enum { OUTPUTS_AT_ONCE = 16 };

/* The sums of products of `count` outputs, at most OUTPUTS_AT_ONCE. With K taps times channels inside of the map, such
   a sum is K - 2 * mismatches. mask: 1 inside of the map, NULL where all taps are. */
static void sums_of_products(const uint32_t* window, const uint32_t* mask, const uint32_t* weights, int words,
                             int inside, int count, int* sums) {
  int n;
  for (n = 0; n < count; n++, weights += words) {
    const int mismatches =
        mask == NULL ? count_mismatches(window, weights, NULL, words) : count_mismatches(window, weights, mask, words);
    sums[n] = inside - 2 * mismatches;
  }
}
