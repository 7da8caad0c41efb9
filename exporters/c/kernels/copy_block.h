/* Copies a block of up to four axes between two places; forwards, so that a block may move to lower addresses
   of its own memory. */
struct copy_block {
  int sizes[4], from_steps[4], to_steps[4]; /* in elements */
  int from_start, to_start;
};

static void copy_block(const struct copy_block* l, const float* from, float* to) {
  int a, b, c, d;
  from += l->from_start;
  to += l->to_start;
  for (a = 0; a < l->sizes[0]; a++) {
    for (b = 0; b < l->sizes[1]; b++) {
      for (c = 0; c < l->sizes[2]; c++) {
        const float* x =
            from + (ptrdiff_t)a * l->from_steps[0] + (ptrdiff_t)b * l->from_steps[1] + (ptrdiff_t)c * l->from_steps[2];
        float* y = to + (ptrdiff_t)a * l->to_steps[0] + (ptrdiff_t)b * l->to_steps[1] + (ptrdiff_t)c * l->to_steps[2];
        for (d = 0; d < l->sizes[3]; d++) {
          y[(ptrdiff_t)d * l->to_steps[3]] = x[(ptrdiff_t)d * l->from_steps[3]];
        }
      }
    }
  }
}
