/* The float steps behind a sum. */
static float finish(int sum, float scale, float bias, float residual, enum activation activation) {
  float y = (float)sum * scale;
  y = y + bias;
  y = y + residual;
  return activate(y, activation);
}
