// AVX-512 with VPOPCNTDQ, Ice Lake and Zen 4 onwards. x86_avx512_multiply.cc has the product.

#include "kernels/binary_conv2d/x86_avx512.h"

#include "kernels/binary_conv2d/window_sums.h"

namespace rbnn {
namespace {

using avx512::first_lanes;

// 15 words of each run at a time, five triples: one load (two where bits do not start at a word), and a triple's
// running xor as one three-way xor of the words with themselves moved up by one and by two lanes.
template <bool kShifted>
inline void gather_chunk(const Runs& r, std::size_t done) {
  constexpr __mmask16 kSecondOrThird = 0x6db6, kThird = 0x4924;  // of each three lanes
  const std::size_t bits = r.run_bits > done * kWordBits ? r.run_bits - done * kWordBits : 0, rest = bits % kWordBits;
  const __mmask16 read = first_lanes(words_for_bits(bits));
  const __mmask16 written = first_lanes(r.run_words - done < 15 ? r.run_words - done : 15);
  const __m512i keep = _mm512_mask_set1_epi32(_mm512_maskz_set1_epi32(first_lanes(bits / kWordBits), -1),
                                              static_cast<__mmask16>(read & ~first_lanes(bits / kWordBits)),
                                              static_cast<int>((1u << rest) - 1));

  Word* output = r.output + done;
  std::size_t position = r.position + done * kWordBits;
  for (std::size_t i = 0; i < r.count; ++i, position += r.step, output += r.output_stride) {
    const Word* const from = r.bits + position / kWordBits;
    __m512i x = _mm512_maskz_loadu_epi32(read, from);
    if (kShifted) {  // a shift by 32 gives 0
      const __m128i shift = _mm_cvtsi64_si128(static_cast<long long>(position % kWordBits));
      const __m128i back = _mm_cvtsi64_si128(static_cast<long long>(kWordBits - position % kWordBits));
      x = _mm512_or_si512(_mm512_srl_epi32(x, shift), _mm512_sll_epi32(_mm512_maskz_loadu_epi32(read, from + 1), back));
    }
    x = _mm512_and_si512(x, keep);
    const __m512i one = _mm512_maskz_alignr_epi32(kSecondOrThird, x, x, 15);
    const __m512i two = _mm512_maskz_alignr_epi32(kThird, x, x, 14);
    _mm512_mask_storeu_epi32(output, written, _mm512_ternarylogic_epi32(x, one, two, 0x96));
  }
}

void gather_runs(const Runs& r) {
  const bool shifted = r.position % kWordBits != 0 || r.step % kWordBits != 0;
  for (std::size_t done = 0; done < r.run_words; done += 15) {
    if (shifted) {
      gather_chunk<true>(r, done);
    } else {
      gather_chunk<false>(r, done);
    }
  }
}

}  // namespace

const ConvKernel conv_avx512_vpopcntdq = {avx512::kLanes, /*triples=*/true, gather_runs, avx512::multiply,
                                          sum_windows<true>};

}  // namespace rbnn
