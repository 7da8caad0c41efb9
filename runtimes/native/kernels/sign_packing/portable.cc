// Plain C++.

#include "kernels/sign_packing/kernel.h"

namespace rbnn {
namespace {

template <typename Limits>
void pack(const float* x, std::size_t count, const Limits& limits, Word* bits) {
  for (std::size_t i = 0; i < count; i += kWordBits) {
    *bits++ = pack_rest(x, limits, i, count - i < kWordBits ? count : i + kWordBits);
  }
}

void pack_one(const float* x, std::size_t count, float threshold, Word* bits) {
  pack(x, count, OneLimit{threshold}, bits);
}

void pack_each(const float* x, std::size_t count, const float* thresholds, Word* bits) {
  pack(x, count, EachLimit{thresholds}, bits);
}

}  // namespace

const SignPacking sign_packing_portable = {pack_one, pack_each};

}  // namespace rbnn
