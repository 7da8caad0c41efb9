/* 1 where a is greater than b, else 0. b has `count` elements, each for `inner` elements of a, again and again.
   a and y may be the same memory. */
static void greater(const float* a, int size, const float* b, int count, int inner, float* y) {
  int done, n, i;
  for (done = 0; done < size; done += count * inner) {
    for (n = 0; n < count; n++, a += inner, y += inner) {
      for (i = 0; i < inner; i++) {
        y[i] = a[i] > b[n] ? 1.0f : 0.0f;
      }
    }
  }
}
