// Plain C++.

#include "kernels/sign_packing/kernel.h"

namespace rbnn {

void pack_signs_portable(const float* x, std::size_t count, float threshold, Word* bits) {
  for (std::size_t i = 0; i < count; i += kWordBits) {
    const std::size_t size = count - i < kWordBits ? count - i : kWordBits;
    Word word = 0;
    for (std::size_t b = 0; b < size; ++b) word |= sign_bit(x[i + b], threshold) << b;
    *bits++ = word;
  }
}

}  // namespace rbnn
