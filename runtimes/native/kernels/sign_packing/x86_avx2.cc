// AVX2: eight comparisons per vector; vmovmskps collects their sign bits.

#include <immintrin.h>

#include "kernels/sign_packing/kernel.h"

namespace rbnn {
namespace {

struct OneVector : OneLimit {
  __m256 vector = _mm256_set1_ps(limit);
  __m256 at(std::size_t) const { return vector; }
};
struct EachVector : EachLimit {
  __m256 at(std::size_t i) const { return _mm256_loadu_ps(limits + i); }
};

template <typename Limits>
inline void pack(const float* x, std::size_t count, const Limits& limits, Word* bits) {
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    Word word = 0;
    for (std::size_t part = 0; part < 4; ++part) {  // an ordered comparison: a NaN compares false, -1
      const std::size_t at = i + 8 * part;
      const __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(x + at), limits.at(at), _CMP_GE_OQ);
      word |= static_cast<Word>(_mm256_movemask_ps(above)) << (8 * part);
    }
    *bits++ = word;
  }
  if (i < count) *bits = pack_rest(x, limits, i, count);
}

void pack_one(const float* x, std::size_t count, float threshold, Word* bits) {
  pack(x, count, OneVector{{threshold}}, bits);
}

void pack_each(const float* x, std::size_t count, const float* thresholds, Word* bits) {
  pack(x, count, EachVector{{thresholds}}, bits);
}

}  // namespace

const SignPacking sign_packing_avx2 = {pack_one, pack_each};

}  // namespace rbnn
