// AVX-512: a comparison of sixteen values is a mask, half a word.

#include "kernels/sign_packing/kernel.h"
#include "kernels/x86_avx512.h"

namespace rbnn {
namespace {

using avx512::ahead;
using avx512::first_lanes;
using avx512::kFloatsAhead;

// An ordered comparison: a NaN compares false, -1.
inline __mmask16 compare(__mmask16 lanes, const float* x, __m512 threshold) {
  return _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, x), threshold, _CMP_GE_OQ);
}

}  // namespace

void pack_signs_avx512_vpopcntdq(const float* x, std::size_t count, float threshold, Word* bits) {
  const __m512 limit = _mm512_set1_ps(threshold);
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    __builtin_prefetch(ahead(x, i + kFloatsAhead));
    __builtin_prefetch(ahead(x, i + kFloatsAhead + 16));
    const __mmask16 low = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), limit, _CMP_GE_OQ);
    const __mmask16 high = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i + 16), limit, _CMP_GE_OQ);
    *bits++ = static_cast<Word>(_mm512_kunpackw(high, low));
  }
  if (i < count) {
    const std::size_t rest = count - i, second = rest > 16 ? rest - 16 : 0;
    const __mmask16 low = compare(first_lanes(rest), x + i, limit);
    const __mmask16 high = second == 0 ? __mmask16{0} : compare(first_lanes(second), x + i + 16, limit);
    *bits = static_cast<Word>(_mm512_kunpackw(high, low));
  }
}

}  // namespace rbnn
