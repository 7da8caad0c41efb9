// NEON, part of every 64-bit Arm: no instruction here is newer than Armv8.0 (Cortex-A53 and A72).
//
// multiply. A vector is 4 output channels' 32-bit words of one k; a tile is 3 pixels by 1 panel of 2 vectors. Of the
// words a, b, c of a triple (kernel.h), x is stored as a, a ^ b, ~(a ^ b ^ c): the xor with w's gives d1, e and ~s, and
// then the majority, e ? ~s : d1, is one bsl.
//
//   instruction       for one triple (3 words, 384 binary products a vector)
//   eor               3
//   bsl               1   the majority
//   cnt               2   of ~s and of the majority, in bytes
//   add, sub          2   into counters of bytes
//
// So 8, or 48 products an instruction, where eor, cnt and add of each word on its own take 9. A chain through more words
// (eor of all, a bsl, cnt and add for every other) tends to 51; a tree of adders on top costs 3 instructions an adder
// and spares 2.
//
// NEON has no operand that broadcasts, and a broadcast takes a vector pipe as any other instruction: so the words of a
// tile's windows are broadcast into a buffer once, which all panels read.
//
// Overflow: a triple moves each byte of a counter by at most 8, so a block of 31 (248) fits. `ones` goes down from 8 a
// triple by the popcount of ~s, and so ends at the popcount of s. In 16 bits a block is at most 2 * (248 + 2 * 248);
// a 32-bit lane counts bits of one window, fewer than 2^24.
// Tail: the last panel's missing channels are 0 in the weights, and it goes through copies that are filled up to 8
// values; pixels that do not fill a tile are a tile each.

#include <arm_neon.h>

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kVectors = kLanes / 4;
constexpr std::size_t kTilePixels = 3;
constexpr std::size_t kTriplesPerBlock = 31;
constexpr std::size_t kBufferTriples = 2 * kTriplesPerBlock;  // of a window: 5952 bits; of 3 pixels 9 KiB

// ---- sum_rows ----

// The sum of one row: eight chains of additions, as many as an addition's latency times two pipes.
double sum_row(const float* x, std::size_t length) {
  float64x2_t lane[8];
  for (float64x2_t& pair : lane) pair = vdupq_n_f64(0);
  const auto add = [&lane](const float* from) {
    for (std::size_t i = 0; i < 4; ++i) {
      const float32x4_t four = vld1q_f32(from + 4 * i);
      lane[2 * i] = vaddq_f64(lane[2 * i], vcvt_f64_f32(vget_low_f32(four)));
      lane[2 * i + 1] = vaddq_f64(lane[2 * i + 1], vcvt_high_f64_f32(four));
    }
  };
  std::size_t i = 0;
  for (; i + 16 <= length; i += 16) add(x + i);
  // Lanes behind the row's end add +0, which changes nothing: a lane starts at +0 and so is never -0.
  float rest[16] = {};
  for (std::size_t j = i; j < length; ++j) rest[j - i] = x[j];
  add(rest);
  for (std::size_t half = 4; half != 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lane[l] = vaddq_f64(lane[l], lane[l + half]);
  }
  return vgetq_lane_f64(lane[0], 0) + vgetq_lane_f64(lane[0], 1);
}

void sum_rows(const float* x, std::size_t rows, std::size_t length, double* sums) {
  for (std::size_t row = 0; row < rows; ++row) sums[row] = sum_row(x + row * length, length);
}

// ---- pack_signs ----

void pack_signs(const float* x, std::size_t count, float threshold, Word* bits) {
  const float32x4_t limit = vdupq_n_f32(threshold);
  const uint32x4_t own_bit = {0x11111111u, 0x22222222u, 0x44444444u, 0x88888888u};
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    // Nibble n of lane l: all ones where x[4n + l] is +1. (A comparison with a NaN is false, -1.)
    uint32x4_t nibbles = vcgeq_f32(vld1q_f32(x + i), limit);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 4), limit), 4);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 8), limit), 8);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 12), limit), 12);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 16), limit), 16);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 20), limit), 20);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 24), limit), 24);
    nibbles = vsliq_n_u32(nibbles, vcgeq_f32(vld1q_f32(x + i + 28), limit), 28);
    *bits++ = vaddvq_u32(vandq_u32(nibbles, own_bit));
  }
  if (i < count) {
    Word word = 0;
    for (std::size_t b = 0; i + b < count; ++b) word |= sign_bit(x[i + b], threshold) << b;
    *bits = word;
  }
}

// ---- gather_runs ----

// Runs of whole triples that start at a word, as 32 and more channels have them, in one pass; others as plain C++ does.
void gather_runs(const Runs& runs) {
  const Runs r = runs;
  if (r.position % kWordBits != 0 || r.step % kWordBits != 0 || r.run_bits != r.run_words * kWordBits) {
    gather_runs_portable(r);
    return;
  }
  const Word* from = r.bits + r.position / kWordBits;
  Word* to = r.output;
  for (std::size_t i = 0; i < r.count; ++i, from += r.step / kWordBits, to += r.output_stride) {
    for (std::size_t k = 0; k < r.run_words; k += 3) {
      const Word a = from[k], b = a ^ from[k + 1], c = b ^ from[k + 2];
      to[k] = a;
      to[k + 1] = b;
      to[k + 2] = c;
    }
  }
}

// ---- multiply ----

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

inline uint8x16_t load_bytes(const Word* words) { return vreinterpretq_u8_u32(vld1q_u32(words)); }

// Writes `count` triples of the windows, from triple `first` on, as [triple][pixel][word]: each word broadcast, the
// third one complemented.
template <std::size_t kPixels>
void broadcast(const Product& p, const Word* const* window, std::size_t first, std::size_t count, Word* x) {
  const std::size_t per_run = p.run_words / 3;
  std::size_t at = first / per_run * p.run_stride + first % per_run * 3, left = per_run - first % per_run;
  for (; count != 0; --count) {
    for (std::size_t i = 0; i < kPixels; ++i, x += 12) {
      uint32x4x3_t triple = vld3q_dup_u32(window[i] + at);
      triple.val[2] = vmvnq_u32(triple.val[2]);
      vst1q_u32_x3(x, triple);
    }
    at += 3;
    if (--left == 0) {
      left = per_run;
      at += p.run_stride - p.run_words;
    }
  }
}

// Counts of differing bits, in bytes.
template <std::size_t kPixels>
struct Counters {
  uint8x16_t ones[kPixels][kVectors], twos[kPixels][kVectors];
};

// Counts one block of `n` triples, at least 1 and at most kTriplesPerBlock.
template <std::size_t kPixels>
inline Counters<kPixels> count(const Word* x, const Word* w, std::size_t n) {
  Counters<kPixels> c;
  for (std::size_t i = 0; i < kPixels; ++i) {
    for (std::size_t v = 0; v < kVectors; ++v) {
      c.ones[i][v] = vdupq_n_u8(static_cast<std::uint8_t>(8 * n));
      c.twos[i][v] = vdupq_n_u8(0);
    }
  }
  for (; n != 0; --n, x += 12 * kPixels, w += 3 * kLanes) {
    for (std::size_t i = 0; i < kPixels; ++i) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Word *const xi = x + 12 * i, *const wv = w + 4 * v;
        const uint8x16_t d1 = veorq_u8(load_bytes(xi), load_bytes(wv));
        const uint8x16_t e = veorq_u8(load_bytes(xi + 4), load_bytes(wv + kLanes));
        const uint8x16_t not_s = veorq_u8(load_bytes(xi + 8), load_bytes(wv + 2 * kLanes));
        c.ones[i][v] = vsubq_u8(c.ones[i][v], vcntq_u8(not_s));
        c.twos[i][v] = vaddq_u8(c.twos[i][v], vcntq_u8(vbslq_u8(e, not_s, d1)));
      }
    }
  }
  return c;
}

#if !defined(RBNN_NO_INLINE_ASSEMBLY)
// The same for a whole tile, where nearly all of a network's time goes. In assembly, because compilers keep neither all
// counters in registers (GCC 12) nor an order that suits a Cortex-A53, which issues in order (GCC and clang): here every
// result is used at least 6 instructions later, which is its latency there, and what is loaded 8 later.
//
// [o..] are ones, [t..] twos, both by pixel and vector; v12 to v17 the weights of a triple, [word][vector]; v18 to v20
// a pixel's three words. The rest are pairs, one for each vector: v21 d1; v23 e, then the majority, which is counted
// and added during the next pixel; v25 ~s; v27 the majority's counts; v29 those of ~s. v31 is what ones start with.
#define RBNN_PIXEL(count_before, load_x, load_second, add_before, load_first, subtract)       \
  "eor v25.16b, v20.16b, v16.16b\n eor v26.16b, v20.16b, v17.16b\n"                                       \
  "eor v21.16b, v18.16b, v12.16b\n eor v22.16b, v18.16b, v13.16b\n" count_before                         \
  "eor v23.16b, v19.16b, v14.16b\n eor v24.16b, v19.16b, v15.16b\n" load_x                               \
  "cnt v29.16b, v25.16b\n cnt v30.16b, v26.16b\n" load_second add_before load_first                      \
  "bsl v23.16b, v25.16b, v21.16b\n bsl v24.16b, v26.16b, v22.16b\n" subtract
#define RBNN_COUNT "cnt v27.16b, v23.16b\n cnt v28.16b, v24.16b\n"
#define RBNN_ADD(pixel) \
  "add %[t" pixel "0].16b, %[t" pixel "0].16b, v27.16b\n add %[t" pixel "1].16b, %[t" pixel "1].16b, v28.16b\n"
#define RBNN_SUB(pixel) \
  "sub %[o" pixel "0].16b, %[o" pixel "0].16b, v29.16b\n sub %[o" pixel "1].16b, %[o" pixel "1].16b, v30.16b\n"
// In the first triple the counts are what the counters become.
#define RBNN_COUNT_FIRST(pixel) "cnt %[t" pixel "0].16b, v23.16b\n cnt %[t" pixel "1].16b, v24.16b\n"
#define RBNN_SUB_FIRST(pixel) \
  "sub %[o" pixel "0].16b, v31.16b, v29.16b\n sub %[o" pixel "1].16b, v31.16b, v30.16b\n"
// Each load has a pointer of its own, moved at the loop's end: an instruction that moves its pointer stalls the A53.
#define RBNN_LOAD_X(pointer) "ld1 {v18.16b-v20.16b}, [%[" pointer "]]\n"
#define RBNN_LOAD_FIRST "ld1 {v12.16b-v14.16b}, [%[first]]\n"
#define RBNN_LOAD_SECOND "ld1 {v15.16b-v17.16b}, [%[second]]\n"
#define RBNN_TRIPLE(load_x, load_second, load_first)                                              \
  RBNN_PIXEL(RBNN_COUNT, RBNN_LOAD_X("pixel1"), "", RBNN_ADD("2"), "", RBNN_SUB("0"))         \
  RBNN_PIXEL(RBNN_COUNT, RBNN_LOAD_X("pixel2"), "", RBNN_ADD("0"), "", RBNN_SUB("1"))         \
  RBNN_PIXEL(RBNN_COUNT, load_x, load_second, RBNN_ADD("1"), load_first, RBNN_SUB("2"))
#define RBNN_ADVANCE                                                                              \
  "add %[pixel0], %[pixel0], #144\n add %[pixel1], %[pixel1], #144\n add %[pixel2], %[pixel2], #144\n" \
  "add %[first], %[first], #96\n add %[second], %[second], #96\n"
template <>
inline Counters<3> count<3>(const Word* x, const Word* w, std::size_t n) {
  // Each triple is loaded during the one before; behind the only one nothing can be, so it is loaded again.
  const std::size_t next = n > 1;
  const Word *pixel0 = x + 36 * next, *pixel1 = x + 12, *pixel2 = x + 24;
  const Word *first = w + 24 * next, *second = first + 12;
  Counters<3> c;
  __asm__ volatile(
      "ld1 {v18.16b-v20.16b}, [%[x]]\n ld1 {v12.16b-v14.16b}, [%[w]], #48\n ld1 {v15.16b-v17.16b}, [%[w]]\n"
      "dup v31.16b, %w[start]\n movi %[t20].16b, #0\n movi %[t21].16b, #0\n"
      RBNN_PIXEL("", RBNN_LOAD_X("pixel1"), "", "", "", RBNN_SUB_FIRST("0"))
      RBNN_PIXEL(RBNN_COUNT_FIRST("0"), RBNN_LOAD_X("pixel2"), "", "", "", RBNN_SUB_FIRST("1"))
      RBNN_PIXEL(RBNN_COUNT_FIRST("1"), RBNN_LOAD_X("pixel0"), RBNN_LOAD_SECOND, "", RBNN_LOAD_FIRST,
                 RBNN_SUB_FIRST("2"))
      RBNN_ADVANCE
      "subs %[n], %[n], #1\n b.eq 3f\n subs %[n], %[n], #1\n b.eq 2f\n"
      "1:\n"
      RBNN_TRIPLE(RBNN_LOAD_X("pixel0"), RBNN_LOAD_SECOND, RBNN_LOAD_FIRST)
      "subs %[n], %[n], #1\n"
      RBNN_ADVANCE
      "b.ne 1b\n"
      "2:\n"
      RBNN_TRIPLE("", "", "")  // the last triple, behind which nothing can be loaded
      "3:\n"
      RBNN_COUNT RBNN_ADD("2")
      : [pixel0] "+r"(pixel0), [pixel1] "+r"(pixel1), [pixel2] "+r"(pixel2), [first] "+r"(first),
        [second] "+r"(second), [n] "+r"(n), [w] "+r"(w),
        [o00] "=&w"(c.ones[0][0]), [o01] "=&w"(c.ones[0][1]), [o10] "=&w"(c.ones[1][0]),
        [o11] "=&w"(c.ones[1][1]), [o20] "=&w"(c.ones[2][0]), [o21] "=&w"(c.ones[2][1]),
        [t00] "=&w"(c.twos[0][0]), [t01] "=&w"(c.twos[0][1]), [t10] "=&w"(c.twos[1][0]),
        [t11] "=&w"(c.twos[1][1]), [t20] "=&w"(c.twos[2][0]), [t21] "=&w"(c.twos[2][1])
      : [start] "r"(8 * n), [x] "r"(x)
      : "cc", "memory", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  return c;
}
#undef RBNN_ADVANCE
#undef RBNN_TRIPLE
#undef RBNN_LOAD_SECOND
#undef RBNN_LOAD_FIRST
#undef RBNN_LOAD_X
#undef RBNN_SUB_FIRST
#undef RBNN_COUNT_FIRST
#undef RBNN_SUB
#undef RBNN_ADD
#undef RBNN_COUNT
#undef RBNN_PIXEL
#endif  // RBNN_NO_INLINE_ASSEMBLY

// `value` where it is neither below `lower` nor above `upper`. Not a maximum: that of +0 and -0 is +0, and -0 passes.
// `upper` is no zero.
inline float32x4_t clamp(float32x4_t value, float32x4_t lower, float32x4_t upper) {
  return vminq_f32(vbslq_f32(vcltq_f32(value, lower), lower, value), upper);
}

inline float32x4_t finish(uint32x4_t different, float32x4_t inside, float32x4_t scale, float32x4_t bias,
                          float32x4_t residual) {
  // inside - 2 * different is an integer below 2^24, so this fused multiply-add rounds nothing. (`different` is a
  // popcount less what the border adds to it, and so not negative.)
  float32x4_t y = vfmsq_f32(inside, vcvtq_f32_u32(different), vdupq_n_f32(2));
  y = vmulq_f32(y, scale);
  y = vaddq_f32(y, bias);
  return vaddq_f32(y, residual);
}

// What a panel's outputs are made of besides bits, at its first channel.
template <std::size_t kPixels>
struct Panel {
  const std::int32_t* border_weights[kPixels];
  const float *scale, *bias;
  const float* residual;
  std::size_t residual_stride;
  float* output;
  std::size_t output_stride;
};

// Some pixels and their windows.
template <std::size_t kPixels>
struct Tile {
  const Word* window[kPixels];
  const std::int32_t* border_weights[kPixels];
  float inside[kPixels];
  std::size_t triples;
  Word* x;  // the windows if they fit, else where to broadcast them to
  bool fits;
};

// Counts and finishes one panel's outputs of a tile.
template <std::size_t kPixels>
[[gnu::always_inline]] inline void multiply_panel(const Product& p, const Tile<kPixels>& tile, const Word* w,
                                                  const Panel<kPixels>& panel) {
  uint32x4_t different[kPixels][kVectors];
  std::int32_t sums[kPixels][kLanes];  // between blocks, where no register is left for them
  const std::int32_t* from[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) from[i] = panel.border_weights[i];
  const Word* x = tile.x;
  for (std::size_t left = tile.triples, buffered = tile.fits ? left : 0;;) {
    if (buffered == 0) {
      x = tile.x;
      buffered = smaller(kBufferTriples, left);
      broadcast<kPixels>(p, tile.window, tile.triples - left, buffered, tile.x);
    }
    const std::size_t block = smaller(kTriplesPerBlock, buffered);
    const Counters<kPixels> c = count<kPixels>(x, w, block);
    for (std::size_t i = 0; i < kPixels; ++i) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        const uint16x8_t pairs = vpadalq_u8(vpadalq_u8(vpaddlq_u8(c.ones[i][v]), c.twos[i][v]), c.twos[i][v]);
        different[i][v] = vpadalq_u16(vreinterpretq_u32_s32(vld1q_s32(from[i] + 4 * v)), pairs);
      }
    }
    left -= block;
    if (left == 0) break;
    buffered -= block;
    x += 12 * kPixels * block;
    w += 3 * kLanes * block;
    for (std::size_t i = 0; i < kPixels; ++i) {
      for (std::size_t v = 0; v < kVectors; ++v) vst1q_s32(sums[i] + 4 * v, vreinterpretq_s32_u32(different[i][v]));
      from[i] = sums[i];
    }
  }

  const float32x4_t lower = vdupq_n_f32(p.lower), upper = vdupq_n_f32(p.upper);
  float32x4_t scale[kVectors], bias[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) {
    scale[v] = vld1q_f32(panel.scale + 4 * v);
    bias[v] = vld1q_f32(panel.bias + 4 * v);
  }
  const float* residual = panel.residual;
  float* output = panel.output;
  for (std::size_t i = 0; i < kPixels; ++i, residual += panel.residual_stride, output += panel.output_stride) {
    float32x4_t y[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) {
      y[v] = finish(different[i][v], vdupq_n_f32(tile.inside[i]), scale[v], bias[v], vld1q_f32(residual + 4 * v));
    }
    for (std::size_t v = 0; v < kVectors; ++v) vst1q_f32(output + 4 * v, clamp(y[v], lower, upper));
  }
}

// The same for the last panel, of which there are `count` channels: through copies that are filled up.
template <std::size_t kPixels>
[[gnu::noinline]] void multiply_partial(const Product& p, const Tile<kPixels>& tile, const Word* w,
                                        const Panel<kPixels>& panel, std::size_t count) {
  std::int32_t border_weights[kPixels][kLanes] = {};
  float scale[kLanes] = {}, bias[kLanes] = {}, residual[kPixels][kLanes] = {}, output[kPixels][kLanes];
  Panel<kPixels> copy{{}, scale, bias, residual[0], kLanes, output[0], kLanes};
  for (std::size_t i = 0; i < kPixels; ++i) copy.border_weights[i] = border_weights[i];
  for (std::size_t l = 0; l < count; ++l) {
    scale[l] = panel.scale[l];
    bias[l] = panel.bias[l];
    for (std::size_t i = 0; i < kPixels; ++i) {
      border_weights[i][l] = panel.border_weights[i][l];
      residual[i][l] = panel.residual[i * panel.residual_stride + l];
    }
  }
  multiply_panel<kPixels>(p, tile, w, copy);
  for (std::size_t i = 0; i < kPixels; ++i) {
    for (std::size_t l = 0; l < count; ++l) panel.output[i * panel.output_stride + l] = output[i][l];
  }
}

// A pixel of some sample.
struct Place {
  const Word* input;  // of its sample
  std::size_t pixel;
};

// Multiplies kPixels pixels, from `place` on, which it moves behind them; `index` is the first one's.
template <std::size_t kPixels>
void multiply_pixels(const Product& p, std::size_t index, Place& place, Word* x) {
  Tile<kPixels> tile;
  for (std::size_t i = 0; i < kPixels; ++i) {
    const Pixel pixel = p.pixels[place.pixel];
    tile.window[i] = place.input + pixel.input;
    tile.border_weights[i] = p.border_weights + pixel.border * p.border_stride;
    tile.inside[i] = static_cast<float>(p.inside[pixel.border]);
    if (++place.pixel == p.pixels_per_sample) place = {place.input + p.sample_stride, 0};
  }
  tile.triples = p.runs * p.run_words / 3;
  tile.x = x;
  tile.fits = tile.triples <= kBufferTriples;
  if (tile.fits) broadcast<kPixels>(p, tile.window, 0, tile.triples, x);

  const std::size_t panel_words = tile.triples * 3 * kLanes, end = smaller(p.panel_end * kLanes, p.channels);
  const Word* w = p.panels + p.panel_begin * panel_words;
  const float* const residual = p.residual + index * p.residual_stride;
  float* const output = p.output + index * p.output_stride;
  for (std::size_t o = p.panel_begin * kLanes; o < end; o += kLanes, w += panel_words) {
    const auto panel = [&] {
      Panel<kPixels> at{{}, p.scale + o, p.bias + o, residual + o, p.residual_stride, output + o, p.output_stride};
      for (std::size_t i = 0; i < kPixels; ++i) at.border_weights[i] = tile.border_weights[i] + o;
      return at;
    };
    if (o + kLanes <= end) {
      multiply_panel<kPixels>(p, tile, w, panel());
    } else {
      multiply_partial<kPixels>(p, tile, w, panel(), end - o);
    }
  }
}

void multiply(const Product& product) {
  const Product p = product;  // a copy that nothing can point to: the compiler keeps it in registers across the assembly
  alignas(64) Word x[12 * kTilePixels * kBufferTriples];
  std::size_t index = p.pixel_begin;
  const std::size_t sample = index / p.pixels_per_sample;
  Place place{p.input + sample * p.sample_stride, index - sample * p.pixels_per_sample};
  for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) multiply_pixels<kTilePixels>(p, index, place, x);
  for (; index < p.pixel_end; ++index) multiply_pixels<1>(p, index, place, x);
}

}  // namespace

extern const Kernel kernel_neon;  // const objects are internal without a declaration
const Kernel kernel_neon = {"neon", kLanes, /*triples=*/true, sum_rows, pack_signs, gather_runs, multiply};

}  // namespace rbnn
