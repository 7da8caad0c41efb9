// The product with AVX-512 and VPOPCNTDQ for windows of at most three triples, as those of 3 x 3 layers with up to 32
// channels: all weights of a panel stay in registers while pixels pass one by one.
//
// A tile of several pixels, as x86_avx512_multiply.cc has it, takes more instructions to start and to end than the
// product of such a window does. Here pixels do not wait for each other, and the processor works on several at once;
// the epilogue of a pixel stands behind the product of the next one, so that it does not wait in the scheduler for its
// sums. For six triples (64 channels) this was no faster than tiles.
//
// Overflow, tail: as in x86_avx512_multiply.cc.

#include "kernels/binary_conv2d/tile.h"
#include "kernels/binary_conv2d/x86_avx512.h"
#include "kernels/binary_conv2d/x86_avx512_lanes.h"
#include "kernels/unroll.h"

namespace rbnn::avx512 {
namespace {

// Pixels by which all panels pass before the next ones: weights are loaded once for them, and their windows, residuals
// and outputs stay in the first-level cache.
constexpr std::size_t kBlockPixels = 48;

// See x86_avx512_multiply.cc, count_triple.
inline void count_triple(const Word* x, const __m512i* w, __m512i& ones, __m512i& twos) {
  const __m512i d1 = _mm512_xor_si512(w[0], _mm512_set1_epi32(static_cast<int>(x[0])));
  const __m512i e = _mm512_xor_si512(w[1], _mm512_set1_epi32(static_cast<int>(x[1])));
  const __m512i s = _mm512_xor_si512(w[2], _mm512_set1_epi32(static_cast<int>(x[2])));
  ones = _mm512_add_epi32(ones, _mm512_popcnt_epi32(s));
  twos = _mm512_add_epi32(twos, _mm512_popcnt_epi32(_mm512_ternarylogic_epi32(e, s, d1, 0x3a)));
}

// Pixels [index, end) of one panel.
template <std::size_t kRuns, std::size_t kTriplesPerRun, bool kFull, bool kBits>
void multiply_block(const Product& p, Cursor cursor, std::size_t panel, std::size_t index, std::size_t end) {
  constexpr std::size_t kWords = 3 * kRuns * kTriplesPerRun;
  const std::size_t channel = panel * kLanes;
  const Lanes<kFull> lanes{first_lanes(p.channels - channel)};
  const Word* const panel_words = p.panels + panel * kWords * kLanes;
  __m512i w[kWords];
  RBNN_UNROLL
  for (std::size_t k = 0; k < kWords; ++k) w[k] = _mm512_load_si512(panel_words + k * kLanes);
  const __m512 scale = kBits ? __m512{} : lanes.load(p.scale + channel);
  const __m512 bias = kBits ? __m512{} : lanes.load(p.bias + channel);
  const __m512 lower = _mm512_set1_ps(p.lower), upper = _mm512_set1_ps(p.upper);
  // Copies: as far as the compiler knows, an output may be a part of p.
  const std::int32_t *const border_weights = p.border_weights + channel, *const inside = p.inside;
  const std::size_t border_stride = p.border_stride, run_stride = p.run_stride;
  const std::size_t residual_stride = p.residual_stride, output_stride = p.output_stride;
  const std::size_t sample_stride = p.sample_stride;
  const Pixel* const first_pixel = p.pixels;
  const float* residual = kBits ? nullptr : p.residual + index * p.residual_stride + channel;
  float* output = kBits ? nullptr : p.output + index * p.output_stride + channel;
  std::uint8_t* bits = kBits ? p.bits + index * p.bits_stride + channel / 8 : nullptr;
  const std::size_t bits_stride = p.bits_stride;

  const auto multiply_pixel = [&] {
    const Word* x = cursor.windows + cursor.pixel->input;
    const std::size_t border = cursor.pixel->border;
    if (++cursor.pixel == cursor.end) {
      cursor.pixel = first_pixel;
      cursor.windows += sample_stride;
    }
    __m512i ones = lanes.load(border_weights + border * border_stride), twos = _mm512_setzero_si512();
    RBNN_UNROLL
    for (std::size_t run = 0; run < kRuns; ++run, x += run_stride) {
      RBNN_UNROLL
      for (std::size_t t = 0; t < kTriplesPerRun; ++t) {
        count_triple(x + 3 * t, w + 3 * (run * kTriplesPerRun + t), ones, twos);
      }
    }
    const __m512i different = _mm512_add_epi32(ones, _mm512_add_epi32(twos, twos));
    if (kBits) return different;
    return _mm512_sub_epi32(_mm512_set1_epi32(inside[border]), _mm512_add_epi32(different, different));
  };
  const auto finish_pixel = [&](__m512i acc) {
    if (kBits) {
      lanes.store_bits(bits, acc);
      bits += bits_stride;
      return;
    }
    __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);  // below 2^24: the conversion rounds nothing
    y = _mm512_add_ps(y, bias);
    y = _mm512_add_ps(y, lanes.load(residual));
    // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
    lanes.store(output, _mm512_min_ps(upper, _mm512_max_ps(lower, y)));
    residual += residual_stride;
    output += output_stride;
  };
  __m512i acc = multiply_pixel();
  for (++index; index < end; ++index) {
    const __m512i next = multiply_pixel();
    finish_pixel(acc);
    acc = next;
  }
  finish_pixel(acc);
}

template <bool kBits, std::size_t kRuns, std::size_t kTriplesPerRun>
void multiply_blocks(const Product& p) {
  for (std::size_t index = p.pixel_begin; index < p.pixel_end; index += kBlockPixels) {
    const std::size_t end = p.pixel_end - index < kBlockPixels ? p.pixel_end : index + kBlockPixels;
    const Cursor cursor(p, index);
    for (std::size_t panel = p.panel_begin; panel < p.panel_end; ++panel) {
      if (p.channels >= (panel + 1) * kLanes) {
        multiply_block<kRuns, kTriplesPerRun, true, kBits>(p, cursor, panel, index, end);
      } else {
        multiply_block<kRuns, kTriplesPerRun, false, kBits>(p, cursor, panel, index, end);
      }
    }
  }
}

}  // namespace

template <bool kBits>
bool multiply_narrow(const Product& p) {
  const std::size_t triples = p.run_words / 3;
  if (p.runs == 3 && triples == 1) {
    multiply_blocks<kBits, 3, 1>(p);
  } else if (p.runs == 1 && triples == 1) {
    multiply_blocks<kBits, 1, 1>(p);
  } else if (p.runs == 1 && triples == 2) {
    multiply_blocks<kBits, 1, 2>(p);
  } else if (p.runs == 1 && triples == 3) {
    multiply_blocks<kBits, 1, 3>(p);
  } else {
    return false;
  }
  return true;
}

template bool multiply_narrow<false>(const Product& p);
template bool multiply_narrow<true>(const Product& p);

}  // namespace rbnn::avx512
