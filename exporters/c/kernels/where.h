/* An operand of which element (i / inner) % count belongs to element i. */
struct repeated {
  const float* values;
  int count, inner;
};

static float element(const struct repeated* from, int i) { return from->values[i / from->inner % from->count]; }

/* a where the condition is not 0, else b. condition and y may be the same memory. */
static void where(const float* condition, int size, struct repeated a, struct repeated b, float* y) {
  int i;
  for (i = 0; i < size; i++) {
    y[i] = condition[i] != 0.0f ? element(&a, i) : element(&b, i);
  }
}
