/* A float convolution. Channels and pixels lie in_channel and in_pixel apart in the input, and out_channel and
   out_pixel in the output, which gives either layout. */
struct conv2d {
  int height, width, channels;
  int out_height, out_width, outputs;
  int kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int in_channel, in_pixel, out_channel, out_pixel;
  int groups;
  const float* weights; /* [groups][channels / groups * kernel_height * kernel_width][outputs / groups] */
  const float* bias;
};

/* row: [channels / groups * kernel_height * kernel_width], a window; 0 outside of the map. */
static void conv2d(const struct conv2d* l, const float* x, float* y, float* row) {
  const int channels = l->channels / l->groups;
  const int group_outputs = l->outputs / l->groups;
  const int products = channels * l->kernel_height * l->kernel_width;
  float sums[8];
  int p, q, g, c, i, j, o, n;
  for (p = 0; p < l->out_height; p++) {
    for (q = 0; q < l->out_width; q++) {
      float* to = y + (ptrdiff_t)(p * l->out_width + q) * l->out_pixel;
      for (g = 0; g < l->groups; g++) {
        const float* weights = l->weights + (ptrdiff_t)g * products * group_outputs;
        float* next = row;
        for (c = g * channels; c < (g + 1) * channels; c++) {
          for (i = 0; i < l->kernel_height; i++) {
            const int h = p * l->stride_y - l->pad_top + i * l->dilation_y;
            for (j = 0; j < l->kernel_width; j++) {
              const int w = q * l->stride_x - l->pad_left + j * l->dilation_x;
              const int inside = h >= 0 && h < l->height && w >= 0 && w < l->width;
              *next++ = inside ? x[(ptrdiff_t)c * l->in_channel + (ptrdiff_t)(h * l->width + w) * l->in_pixel] : 0.0f;
            }
          }
        }
        for (o = 0; o < group_outputs; o += 8) {
          const int count = group_outputs - o < 8 ? group_outputs - o : 8;
          const int first = g * group_outputs + o;
          row_times_columns(row, products, weights + o, group_outputs, count, sums);
          for (n = 0; n < count; n++) {
            to[(ptrdiff_t)(first + n) * l->out_channel] = sums[n] + l->bias[first + n];
          }
        }
      }
    }
  }
}
