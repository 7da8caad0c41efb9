// AVX2: Haswell and Zen onwards. There is no popcount of a vector, so bits are counted by looking up each half byte in
// a table in a register (vpshufb), which gives counts in bytes.
//
// multiply. A vector is 8 output channels' 32-bit words of one k, the window's word is broadcast by a load. A tile is
// 4 pixels by 1 panel. Looking up takes 7 instructions per vector (and, shift, and, two vpshufb, two vpaddb), so full
// adders first make fewer vectors of more weight: 6 triples, 18 words, are counted at once, as 2 vectors of weight 1,
// 2 of weight 2, 1 of 4 and 1 of 8. The tables hold weighed counts, so one byte counter serves all.
//
//   for 18 words: 18 xor, 6 x 3 for the triples' majorities, 6 full adders of 5, 6 x 7 - 1 to count, 3 to widen: 110,
//   where triples alone take 6 x 20 + 3, and words on their own 18 x 8 + 3.
//
// All of them run on ports 0, 1 and 5 (vpshufb on 1 and 5, on Haswell on 5 alone), three per cycle: 37 cycles. The 36
// loads, two or three per cycle, are no limit.
//
// Overflow: a byte of a block counts at most 18 x 8 = 144 bits; of the last, at most 5, triples 120. A 32-bit lane
// counts bits of one window, fewer than 2^24.
// Tail: the last panel's missing channels are 0 in the weights, and its epilogue loads and stores under a mask.

#include <immintrin.h>

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/binary_conv2d/tile.h"
#include "kernels/binary_conv2d/window_sums.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kTilePixels = 4;
constexpr std::size_t kBlock = 6;  // triples that full adders sum before they are counted

inline __m256i load(const Word* words) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(words)); }
inline __m256i broadcast(const Word* word) { return _mm256_set1_epi32(static_cast<int>(*word)); }

// Counts bits of each byte, weighed by 1, 2, 4 and 8.
struct Tables {
  __m256i weighed[4], half;

  Tables() : half(_mm256_set1_epi8(0x0f)) {
    weighed[0] = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                  0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    for (int i = 1; i < 4; ++i) weighed[i] = _mm256_add_epi8(weighed[i - 1], weighed[i - 1]);
  }

  __m256i count(__m256i v, int weight) const {
    const __m256i low = _mm256_shuffle_epi8(weighed[weight], _mm256_and_si256(v, half));
    const __m256i high = _mm256_shuffle_epi8(weighed[weight], _mm256_and_si256(_mm256_srli_epi32(v, 4), half));
    return _mm256_add_epi8(low, high);
  }
};

// A full adder's two outputs: three bits of one weight are one bit of it and one of twice that weight.
struct Sum {
  __m256i same, twice;
};

// Of three words: the window's at x and the panel's at w, both as triples (kernel.h).
inline Sum add_triple(const Word* x, const Word* w) {
  const __m256i d1 = _mm256_xor_si256(load(w), broadcast(x));
  const __m256i e = _mm256_xor_si256(load(w + kLanes), broadcast(x + 1));
  const __m256i s = _mm256_xor_si256(load(w + 2 * kLanes), broadcast(x + 2));
  return {s, _mm256_or_si256(_mm256_andnot_si256(s, e), _mm256_andnot_si256(e, d1))};
}

inline Sum add(__m256i a, __m256i b, __m256i c) {
  const __m256i e = _mm256_xor_si256(a, b);
  return {_mm256_xor_si256(e, c), _mm256_or_si256(_mm256_and_si256(e, c), _mm256_and_si256(a, b))};
}

// Counts in bytes, up to 144, of kBlock triples of one pixel.
inline __m256i count_block(const Tables& tables, const Word* x, const std::size_t* offset, const Word* w) {
  const Sum a = add_triple(x + offset[0], w), b = add_triple(x + offset[1], w + 3 * kLanes);
  const Sum c = add_triple(x + offset[2], w + 6 * kLanes);
  const Sum abc = add(a.same, b.same, c.same), abc2 = add(a.twice, b.twice, c.twice);
  __m256i bytes = tables.count(abc.same, 0);
  const Sum d = add_triple(x + offset[3], w + 9 * kLanes), e = add_triple(x + offset[4], w + 12 * kLanes);
  const Sum f = add_triple(x + offset[5], w + 15 * kLanes);
  const Sum def = add(d.same, e.same, f.same), def2 = add(d.twice, e.twice, f.twice);
  bytes = _mm256_add_epi8(bytes, tables.count(def.same, 0));
  bytes = _mm256_add_epi8(bytes, tables.count(def.twice, 1));
  const Sum twos = add(abc.twice, abc2.same, def2.same);
  bytes = _mm256_add_epi8(bytes, tables.count(twos.same, 1));
  const Sum fours = add(abc2.twice, def2.twice, twos.twice);
  bytes = _mm256_add_epi8(bytes, tables.count(fours.same, 2));
  return _mm256_add_epi8(bytes, tables.count(fours.twice, 3));
}

// `total` plus the four bytes of each lane. vpmaddubsw takes the counts as unsigned.
inline __m256i widen(__m256i total, __m256i bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  return _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// different[i] += the popcount of window i ^ the panel at w.
template <std::size_t kPixels>
inline void count_windows(const Product& p, const Word* const* window, const Word* w, __m256i* different) {
  const Tables tables;
  std::size_t k = 0, run_end = p.run_words, left = p.runs * p.run_words / 3;
  const auto next = [&] {  // where the next triple of a window is, in whichever run
    const std::size_t here = k;
    k += 3;
    if (k == run_end) {
      k += p.run_stride - p.run_words;
      run_end += p.run_stride;
    }
    return here;
  };
  for (; left >= kBlock; left -= kBlock, w += 3 * kBlock * kLanes) {
    std::size_t offset[kBlock];
    for (std::size_t& o : offset) o = next();
    for (std::size_t i = 0; i < kPixels; ++i) {
      different[i] = widen(different[i], count_block(tables, window[i], offset, w));
    }
  }
  if (left == 0) return;
  __m256i bytes[kPixels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) bytes[i] = _mm256_setzero_si256();
  for (; left != 0; --left, w += 3 * kLanes) {
    const std::size_t offset = next();
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i) {
      const Sum sum = add_triple(window[i] + offset, w);
      bytes[i] = _mm256_add_epi8(bytes[i], tables.count(sum.same, 0));
      bytes[i] = _mm256_add_epi8(bytes[i], tables.count(sum.twice, 1));
    }
  }
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) different[i] = widen(different[i], bytes[i]);
}

// Loads and stores of one panel's channels; a panel that is not full is masked.
template <bool kFull>
struct Lanes {
  __m256i mask;

  explicit Lanes(std::size_t count)
      : mask(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count < kLanes ? count : kLanes)),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))) {}

  __m256i load(const std::int32_t* x) const {
    return kFull ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)) : _mm256_maskload_epi32(x, mask);
  }
  __m256 load(const float* x) const { return kFull ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, mask); }
  void store(float* y, __m256 value) const {
    if (kFull) {
      _mm256_storeu_ps(y, value);
    } else {
      _mm256_maskstore_ps(y, mask, value);
    }
  }
};

template <std::size_t kPixels, bool kFull>
inline void multiply_tile(const Product& p, const Tile<kPixels>& tile, std::size_t panel, std::size_t index) {
  const std::size_t channel = panel * kLanes;
  const Lanes<kFull> lanes(p.channels - channel);
  __m256i different[kPixels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) different[i] = lanes.load(tile.border_weights[i] + channel);
  count_windows<kPixels>(p, tile.window, p.panels + panel * p.runs * p.run_words * kLanes, different);

  const __m256 lower = _mm256_set1_ps(p.lower), upper = _mm256_set1_ps(p.upper);
  const __m256 scale = lanes.load(p.scale + channel), bias = lanes.load(p.bias + channel);
  const float* residual = p.residual + index * p.residual_stride + channel;
  float* output = p.output + index * p.output_stride + channel;
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    // All integers below 2^24: nothing is rounded.
    const __m256 count = _mm256_cvtepi32_ps(different[i]);
    __m256 y = _mm256_sub_ps(_mm256_set1_ps(tile.inside[i]), _mm256_add_ps(count, count));
    y = _mm256_mul_ps(y, scale);
    y = _mm256_add_ps(y, bias);
    y = _mm256_add_ps(y, lanes.load(residual));
    // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
    lanes.store(output, _mm256_min_ps(upper, _mm256_max_ps(lower, y)));
    residual += p.residual_stride;
    output += p.output_stride;
  }
}

// The panels [begin, end) of kPixels pixels.
template <std::size_t kPixels>
void multiply_pixels(const Product& p, Cursor& cursor, std::size_t index, std::size_t begin, std::size_t end) {
  const Tile<kPixels> tile(p, cursor);
  for (std::size_t panel = begin; panel < end; ++panel) {
    if (p.channels >= (panel + 1) * kLanes) {
      multiply_tile<kPixels, true>(p, tile, panel, index);
    } else {
      multiply_tile<kPixels, false>(p, tile, panel, index);
    }
  }
}

void multiply(const Product& p) {
  const std::size_t step = panels_in_cache(p, kLanes, 1);
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; panel += step) {
    const std::size_t end = p.panel_end - panel < step ? p.panel_end : panel + step;
    Cursor cursor(p, p.pixel_begin);
    std::size_t index = p.pixel_begin;
    for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) {
      multiply_pixels<kTilePixels>(p, cursor, index, panel, end);
    }
    for (; index < p.pixel_end; ++index) multiply_pixels<1>(p, cursor, index, panel, end);
  }
}

}  // namespace

const ConvKernel conv_avx2 = {kLanes, /*triples=*/true, gather_runs_portable, multiply, sum_windows<true>};

}  // namespace rbnn
