// AVX-512 with VPOPCNTDQ, Ice Lake and Zen 4 onwards. x86_avx512_multiply.cc has the product.

#include "kernels/binary_conv2d/x86_avx512.h"

#include "kernels/binary_conv2d/window_sums.h"

namespace rbnn {
namespace {

using avx512::first_lanes;
using avx512::kLanes;

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

// The words at from, from + kStep bits, from + 2 * kStep bits, ..., `count` of them.
template <std::size_t kStep>
inline __m512i load_words(const std::uint8_t* from, std::size_t count) {
  const __mmask16 lanes = first_lanes(count);
  if (kStep == 16) {
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from));
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from + 2));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
  if (kStep == 32) return _mm512_maskz_loadu_epi32(lanes, from);
  const std::size_t words = 2 * count - 1;
  const __m512i low = _mm512_maskz_loadu_epi32(first_lanes(words), from);
  const __m512i high = _mm512_maskz_loadu_epi32(first_lanes(words < kLanes ? 0 : words - kLanes), from + 64);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_epi32(low, even, high);
}

// Runs of at most one triple, one behind the other, sixteen at a time.
template <std::size_t kStep>
void gather_triples(const Runs& r) {
  // Word j of the output is word j % 3 of run j / 3.
  const __m512i third = _mm512_set1_epi32(3), sixteen = _mm512_set1_epi32(16);
  __m512i run[3], from_two[3];
  __mmask16 is_third[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const __m512i j = _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                       _mm512_set1_epi32(static_cast<int>(i * kLanes)));
    run[i] = _mm512_srli_epi32(_mm512_mullo_epi32(j, _mm512_set1_epi32(43)), 7);  // j / 3, up to 63
    const __m512i word = _mm512_sub_epi32(j, _mm512_mullo_epi32(run[i], third));
    from_two[i] = _mm512_mask_add_epi32(run[i], _mm512_cmpeq_epi32_mask(word, _mm512_set1_epi32(1)), run[i], sixteen);
    is_third[i] = _mm512_cmpeq_epi32_mask(word, _mm512_set1_epi32(2));
  }
  const std::size_t words = words_for_bits(r.run_bits), rest = r.run_bits % kWordBits;
  const __m512i last = _mm512_set1_epi32(rest == 0 ? -1 : static_cast<int>((1u << rest) - 1));
  const __m512i all = _mm512_set1_epi32(-1);

  const std::uint8_t* from = reinterpret_cast<const std::uint8_t*>(r.bits) + r.position / 8;
  Word* output = r.output;
  for (std::size_t left = r.count, count; left != 0; left -= count, output += 3 * count, from += kStep / 8 * count) {
    count = left < kLanes ? left : kLanes;
    const __m512i a = _mm512_and_si512(load_words<kStep>(from, count), words == 1 ? last : all);
    __m512i ab = a, abc;
    if (words > 1) {
      ab = _mm512_xor_si512(a, _mm512_and_si512(load_words<kStep>(from + 4, count), words == 2 ? last : all));
    }
    abc = ab;
    if (words > 2) abc = _mm512_xor_si512(ab, _mm512_and_si512(load_words<kStep>(from + 8, count), last));
    for (std::size_t i = 0; i < 3 && i * kLanes < 3 * count; ++i) {
      const __m512i two = _mm512_permutex2var_epi32(a, from_two[i], ab);
      _mm512_mask_storeu_epi32(output + i * kLanes, first_lanes(3 * count - i * kLanes),
                               _mm512_mask_permutexvar_epi32(two, is_third[i], run[i], abc));
    }
  }
}

void gather_runs(const Runs& r) {
  if (r.run_words == 3 && r.output_stride == 3 && r.position % 8 == 0) {
    if (r.step == 16) return gather_triples<16>(r);
    if (r.step == 32) return gather_triples<32>(r);
    if (r.step == 64) return gather_triples<64>(r);
  }
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

const ConvKernel conv_avx512_vpopcntdq = {avx512::kLanes,   /*run_multiple=*/3,    /*triples=*/true, gather_runs,
                                          avx512::multiply, avx512::multiply_bits, sum_windows<true>};

}  // namespace rbnn
