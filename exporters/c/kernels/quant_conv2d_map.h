/* All rows of the outputs of quant_conv2d_row. residual and y: [out_height][out_width][outputs]. */
static void quant_conv2d_map(const struct quant_conv2d* l, const uint8_t* x, const float* residual, float* y,
                             uint8_t* row) {
  const ptrdiff_t size = (ptrdiff_t)l->out_width * l->outputs;
  int p;
  for (p = 0; p < l->out_height; p++) {
    quant_conv2d_row(l, x, p, residual + p * size * l->residual_step, y + p * size, row);
  }
}
