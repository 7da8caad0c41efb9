static void general_binary_conv2d(const struct general_binary_conv2d* l, const uint32_t* bits, const float* residual,
                                  float* y, uint32_t* window) {
  general_windows(l, bits, residual, y, window, sums_of_products);
}
