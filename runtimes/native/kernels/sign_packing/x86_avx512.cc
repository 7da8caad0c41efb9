// AVX-512: a comparison of sixteen values is a mask, half a word.

#include "kernels/sign_packing/kernel.h"
#include "kernels/x86_avx512.h"

namespace rbnn {
namespace {

using avx512::ahead;
using avx512::first_lanes;
using avx512::kFloatsAhead;

struct OneVector {
  __m512 vector;
  __m512 at(std::size_t) const { return vector; }
  __m512 at(std::size_t, __mmask16) const { return vector; }
};
struct EachVector {
  const float* limits;
  __m512 at(std::size_t i) const { return _mm512_loadu_ps(limits + i); }
  __m512 at(std::size_t i, __mmask16 lanes) const { return _mm512_maskz_loadu_ps(lanes, limits + i); }
};

// An ordered comparison: a NaN compares false, -1.
template <typename Limits>
inline __mmask16 compare(__mmask16 lanes, const float* x, const Limits& limits, std::size_t i) {
  return _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, x + i), limits.at(i, lanes), _CMP_GE_OQ);
}

template <typename Limits>
inline void pack(const float* x, std::size_t count, const Limits& limits, Word* bits) {
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    __builtin_prefetch(ahead(x, i + kFloatsAhead));
    __builtin_prefetch(ahead(x, i + kFloatsAhead + 16));
    const __mmask16 low = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), limits.at(i), _CMP_GE_OQ);
    const __mmask16 high = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i + 16), limits.at(i + 16), _CMP_GE_OQ);
    *bits++ = static_cast<Word>(_mm512_kunpackw(high, low));
  }
  if (i < count) {
    const std::size_t rest = count - i, second = rest > 16 ? rest - 16 : 0;
    const __mmask16 low = compare(first_lanes(rest), x, limits, i);
    const __mmask16 high = second == 0 ? __mmask16{0} : compare(first_lanes(second), x, limits, i + 16);
    *bits = static_cast<Word>(_mm512_kunpackw(high, low));
  }
}

void pack_one(const float* x, std::size_t count, float threshold, Word* bits) {
  pack(x, count, OneVector{_mm512_set1_ps(threshold)}, bits);
}

void pack_each(const float* x, std::size_t count, const float* thresholds, Word* bits) {
  pack(x, count, EachVector{thresholds}, bits);
}

}  // namespace

const SignPacking sign_packing_avx512_vpopcntdq = {pack_one, pack_each};

}  // namespace rbnn
