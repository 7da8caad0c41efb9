enum activation { ACTIVATION_NONE, ACTIVATION_HARDTANH, ACTIVATION_RELU, ACTIVATION_PRELU };

/* A NaN passes, and so does -0. PRELU needs slopes, which belong to its layer. */
static float activate(float y, enum activation activation) {
  if (activation == ACTIVATION_HARDTANH) {
    return y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y;
  }
  if (activation == ACTIVATION_RELU) {
    return y < 0.0f ? 0.0f : y;
  }
  return y;
}
