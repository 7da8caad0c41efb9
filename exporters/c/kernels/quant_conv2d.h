/* A convolution of int8 weights: exact sums, then scale, bias, residual and activation. */
struct quant_conv2d {
  int height, width, channels, groups;
  int out_height, out_width, outputs;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int zero;          /* the byte that stands for 0, as a tap outside of the map counts */
  int residual_step; /* 1: one element per output; 0: one element for all */
  enum activation activation;
  const int8_t* weights; /* [outputs][kernel_height][kernel_width][channels / groups] */
  const uint32_t* start; /* what bytes in place of integers add to an output's sum is taken off, modulo 2^32 */
  const float *scale, *bias;
};

/* Sums wrap around on the way; the last one fits into an int. */
static int sum_of_bytes(const uint8_t* row, const int8_t* weights, int count, uint32_t start) {
  uint32_t sum = start;
  int k;
  for (k = 0; k < count; k++) {
    sum += (uint32_t)((int)row[k] * (int)weights[k]);
  }
  return sum <= (uint32_t)INT_MAX ? (int)sum : -(int)(UINT32_MAX - sum) - 1;
}

/* Row p of the outputs. x: [height][width][channels]. residual and y: [out_width][outputs]; they may be the same
   memory. row: [kernel_height * kernel_width * channels / groups], a window. */
static void quant_conv2d_row(const struct quant_conv2d* l, const uint8_t* x, int p, const float* residual, float* y,
                             uint8_t* row) {
  const int channels = l->channels / l->groups;
  const int group_outputs = l->outputs / l->groups;
  const int products = l->kernel_height * l->kernel_width * channels;
  int q, g, i, j, c, o;
  for (q = 0; q < l->out_width; q++) {
    for (g = 0; g < l->groups; g++) {
      const int end = (g + 1) * group_outputs;
      uint8_t* next = row;
      for (i = 0; i < l->kernel_height; i++) {
        const int h = p * l->stride_y - l->pad_top + i * l->dilation_y;
        for (j = 0; j < l->kernel_width; j++) {
          const int w = q * l->stride_x - l->pad_left + j * l->dilation_x;
          const int inside = h >= 0 && h < l->height && w >= 0 && w < l->width;
          const uint8_t* from = inside ? x + ((ptrdiff_t)h * l->width + w) * l->channels + g * channels : NULL;
          for (c = 0; c < channels; c++) {
            *next++ = inside ? from[c] : (uint8_t)l->zero;
          }
        }
      }
      for (o = g * group_outputs; o < end; o++) {
        const int sum = sum_of_bytes(row, l->weights + (ptrdiff_t)o * products, products, l->start[o]);
        y[o] = finish(sum, l->scale[o], l->bias[o], residual[l->residual_step * o], l->activation);
      }
    }
    y += l->outputs;
    residual += l->residual_step * l->outputs;
  }
}
