// Loads and stores of one panel, for the products of AVX-512.

#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/x86_avx512.h"

namespace rbnn::avx512 {
namespace {

// Loads and stores of one panel's channels; a panel that is not full is masked.
template <bool kFull>
struct Lanes {
  __mmask16 mask;

  __m512i load(const std::int32_t* x) const {
    return kFull ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi32(mask, x);
  }
  __m512 load(const float* x) const { return kFull ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(mask, x); }
  void store(float* y, __m512 value) const {
    if (kFull) {
      _mm512_storeu_ps(y, value);
    } else {
      _mm512_mask_storeu_ps(y, mask, value);
    }
  }
  // The bit of each channel: 1 where the number is at most 0.
  void store_bits(std::uint8_t* bits, __m512i value) const {
    const __mmask16 passes = _mm512_mask_cmple_epi32_mask(kFull ? 0xffff : mask, value, _mm512_setzero_si512());
    if (kFull || mask > 0xff) {
      __builtin_memcpy(bits, &passes, sizeof(passes));
    } else {
      *bits = static_cast<std::uint8_t>(passes);
    }
  }
};

}  // namespace
}  // namespace rbnn::avx512
