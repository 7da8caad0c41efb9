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
// Tail: the last panel's missing channels are 0 in the weights, and its epilogue goes through copies of 8 values;
// pixels that do not fill a tile are a tile each.

#include <arm_neon.h>

#include "kernels/binary_conv2d/kernel.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kVectors = kLanes / 4;
constexpr std::size_t kTilePixels = 3;
constexpr std::size_t kTriplesPerBlock = 31;
constexpr std::size_t kBufferTriples = 64;  // of a window: 3 x 3 x 512 bits and more; of 3 pixels 9 KiB

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

// Bits of 16 floats, each as a byte that has either its own bit of the 8 or none.
inline uint8x16_t compare(const float* x, float32x4_t threshold, uint8x16_t own_bit) {
  // A comparison with a NaN is false, -1.
  const uint32x4_t a = vcgeq_f32(vld1q_f32(x), threshold), b = vcgeq_f32(vld1q_f32(x + 4), threshold);
  const uint32x4_t c = vcgeq_f32(vld1q_f32(x + 8), threshold), d = vcgeq_f32(vld1q_f32(x + 12), threshold);
  const uint16x8_t ab = vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
  const uint16x8_t cd = vuzp1q_u16(vreinterpretq_u16_u32(c), vreinterpretq_u16_u32(d));
  return vandq_u8(vuzp1q_u8(vreinterpretq_u8_u16(ab), vreinterpretq_u8_u16(cd)), own_bit);
}

void pack_signs(const float* x, std::size_t count, float threshold, Word* bits) {
  const float32x4_t limit = vdupq_n_f32(threshold);
  const uint8x16_t own_bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  std::size_t i = 0;
  for (; i + kWordBits <= count; i += kWordBits) {
    uint8x16_t sums = vpaddq_u8(compare(x + i, limit, own_bit), compare(x + i + 16, limit, own_bit));
    sums = vpaddq_u8(sums, sums);
    sums = vpaddq_u8(sums, sums);  // byte j: the bits of x[8j] to x[8j + 7]
    *bits++ = vgetq_lane_u32(vreinterpretq_u32_u8(sums), 0);
  }
  if (i < count) {
    Word word = 0;
    for (std::size_t b = 0; i + b < count; ++b) word |= sign_bit(x[i + b], threshold) << b;
    *bits = word;
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
      const Word* const triple = window[i] + at;
      vst1q_u32(x, vld1q_dup_u32(triple));
      vst1q_u32(x + 4, vld1q_dup_u32(triple + 1));
      vst1q_u32(x + 8, vmvnq_u32(vld1q_dup_u32(triple + 2)));
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
// and added during the next pixel; v25 ~s; v27 the majority's counts; v29 those of ~s.
#define RBNN_PIXEL(pixel, before, load_x, load_second, load_first)                                     \
  "eor v25.16b, v20.16b, v16.16b\n eor v26.16b, v20.16b, v17.16b\n"                                    \
  "eor v21.16b, v18.16b, v12.16b\n eor v22.16b, v18.16b, v13.16b\n"                                    \
  "cnt v27.16b, v23.16b\n cnt v28.16b, v24.16b\n"                                                      \
  "eor v23.16b, v19.16b, v14.16b\n eor v24.16b, v19.16b, v15.16b\n" load_x                             \
  "cnt v29.16b, v25.16b\n cnt v30.16b, v26.16b\n" load_second RBNN_ADD(before) load_first             \
  "bsl v23.16b, v25.16b, v21.16b\n bsl v24.16b, v26.16b, v22.16b\n"                                    \
  "sub %[o" pixel "0].16b, %[o" pixel "0].16b, v29.16b\n sub %[o" pixel "1].16b, %[o" pixel "1].16b, v30.16b\n"
#define RBNN_ADD(pixel) \
  "add %[t" pixel "0].16b, %[t" pixel "0].16b, v27.16b\n add %[t" pixel "1].16b, %[t" pixel "1].16b, v28.16b\n"
// Each load has a pointer of its own, moved at the loop's end: an instruction that moves its pointer stalls the A53.
#define RBNN_LOAD_X(pointer) "ld1 {v18.16b-v20.16b}, [%[" pointer "]]\n"
#define RBNN_LOAD_FIRST "ld1 {v12.16b-v14.16b}, [%[first]]\n"
#define RBNN_LOAD_SECOND "ld1 {v15.16b-v17.16b}, [%[second]]\n"
#define RBNN_TRIPLE(load_x, load_second, load_first)        \
  RBNN_PIXEL("0", "2", RBNN_LOAD_X("pixel1"), "", "")       \
  RBNN_PIXEL("1", "0", RBNN_LOAD_X("pixel2"), "", "")       \
  RBNN_PIXEL("2", "1", load_x, load_second, load_first)
template <>
inline Counters<3> count<3>(const Word* x, const Word* w, std::size_t n) {
  const Word *pixel0 = x, *pixel1 = x + 12, *pixel2 = x + 24, *first = w, *second = w + 12;
  Counters<3> c;
  __asm__ volatile(
      "dup %[o00].16b, %w[start]\n dup %[o01].16b, %w[start]\n movi %[t00].16b, #0\n movi %[t01].16b, #0\n"
      "dup %[o10].16b, %w[start]\n dup %[o11].16b, %w[start]\n movi %[t10].16b, #0\n movi %[t11].16b, #0\n"
      "dup %[o20].16b, %w[start]\n dup %[o21].16b, %w[start]\n movi %[t20].16b, #0\n movi %[t21].16b, #0\n"
      "movi v23.16b, #0\n movi v24.16b, #0\n"
      RBNN_LOAD_X("pixel0") RBNN_LOAD_FIRST RBNN_LOAD_SECOND
      "b 2f\n"
      "1:\n"
      RBNN_TRIPLE(RBNN_LOAD_X("pixel0"), RBNN_LOAD_SECOND, RBNN_LOAD_FIRST)
      "add %[pixel1], %[pixel1], #144\n add %[pixel2], %[pixel2], #144\n"
      "2:\n"
      "subs %[n], %[n], #1\n add %[pixel0], %[pixel0], #144\n"
      "add %[first], %[first], #96\n add %[second], %[second], #96\n"
      "b.ne 1b\n"
      RBNN_TRIPLE("", "", "")  // the last triple, behind which nothing can be loaded
      "cnt v27.16b, v23.16b\n cnt v28.16b, v24.16b\n" RBNN_ADD("2")
      : [pixel0] "+r"(pixel0), [pixel1] "+r"(pixel1), [pixel2] "+r"(pixel2), [first] "+r"(first),
        [second] "+r"(second), [n] "+r"(n),
        [o00] "=&w"(c.ones[0][0]), [o01] "=&w"(c.ones[0][1]), [o10] "=&w"(c.ones[1][0]),
        [o11] "=&w"(c.ones[1][1]), [o20] "=&w"(c.ones[2][0]), [o21] "=&w"(c.ones[2][1]),
        [t00] "=&w"(c.twos[0][0]), [t01] "=&w"(c.twos[0][1]), [t10] "=&w"(c.twos[1][0]),
        [t11] "=&w"(c.twos[1][1]), [t20] "=&w"(c.twos[2][0]), [t21] "=&w"(c.twos[2][1])
      : [start] "r"(8 * n)
      : "cc", "memory", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
        "v25", "v26", "v27", "v28", "v29", "v30");
  return c;
}
#undef RBNN_TRIPLE
#undef RBNN_LOAD_SECOND
#undef RBNN_LOAD_FIRST
#undef RBNN_LOAD_X
#undef RBNN_ADD
#undef RBNN_PIXEL
#endif  // RBNN_NO_INLINE_ASSEMBLY

// different[i] += the popcount of window i ^ panel, over `triples` that start at `x` and `w`.
template <std::size_t kPixels>
inline void count_blocks(const Word* x, const Word* w, std::size_t triples, uint32x4_t (&different)[kPixels][kVectors]) {
  while (triples != 0) {
    const std::size_t block = smaller(kTriplesPerBlock, triples);
    const Counters<kPixels> c = count<kPixels>(x, w, block);
    for (std::size_t i = 0; i < kPixels; ++i) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        const uint16x8_t pairs = vpadalq_u8(vpadalq_u8(vpaddlq_u8(c.ones[i][v]), c.twos[i][v]), c.twos[i][v]);
        different[i][v] = vpadalq_u16(different[i][v], pairs);
      }
    }
    x += 12 * kPixels * block;
    w += 3 * kLanes * block;
    triples -= block;
  }
}

// `value` where it is neither below `lower` nor above `upper`. Not fmax and fmin: fmax(+0, -0) is +0.
inline float32x4_t clamp(float32x4_t value, float32x4_t lower, float32x4_t upper) {
  value = vbslq_f32(vcltq_f32(value, lower), lower, value);
  return vbslq_f32(vcgtq_f32(value, upper), upper, value);
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

// A tile's place among the outputs.
template <std::size_t kPixels>
struct Tile {
  const Word* window[kPixels];
  const std::int32_t* border_weights[kPixels];
  float inside[kPixels];
  std::size_t index;  // of its first pixel
};

// The last panel's values of a row of channels: the first `count` of `from`, then 0.
template <typename T>
struct Partial {
  T values[kLanes];
  Partial(const T* from, std::size_t count) {
    for (std::size_t l = 0; l < kLanes; ++l) values[l] = l < count ? from[l] : T{0};
  }
};

// Counts and finishes one panel's outputs, from channel `o` on; there are `count` of them, kLanes if kFull. `x` holds
// the windows if they fit, else it is where to broadcast them to.
template <std::size_t kPixels, bool kFull>
inline void multiply_panel(const Product& p, const Tile<kPixels>& tile, const Word* w, std::size_t triples, bool fits,
                           Word* x, std::size_t o, std::size_t count) {
  uint32x4_t different[kPixels][kVectors];
  for (std::size_t i = 0; i < kPixels; ++i) {
    const std::int32_t* const weights = tile.border_weights[i] + o;
    for (std::size_t v = 0; v < kVectors; ++v) {
      const int32x4_t four = kFull ? vld1q_s32(weights + 4 * v) : vld1q_s32(Partial(weights, count).values + 4 * v);
      different[i][v] = vreinterpretq_u32_s32(four);
    }
  }
  if (fits) {
    count_blocks<kPixels>(x, w, triples, different);
  } else {
    for (std::size_t first = 0; first < triples; first += kBufferTriples) {
      const std::size_t part = smaller(kBufferTriples, triples - first);
      broadcast<kPixels>(p, tile.window, first, part, x);
      count_blocks<kPixels>(x, w + first * 3 * kLanes, part, different);
    }
  }

  const auto load = [count](const float* from, std::size_t v) {
    return kFull ? vld1q_f32(from + 4 * v) : vld1q_f32(Partial(from, count).values + 4 * v);
  };
  const float32x4_t lower = vdupq_n_f32(p.lower), upper = vdupq_n_f32(p.upper);
  const float* residual = p.residual + tile.index * p.residual_stride + o;
  float* output = p.output + tile.index * p.output_stride + o;
  float32x4_t scale[kVectors], bias[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) {
    scale[v] = load(p.scale + o, v);
    bias[v] = load(p.bias + o, v);
  }
  for (std::size_t i = 0; i < kPixels; ++i, residual += p.residual_stride, output += p.output_stride) {
    float y[kLanes];
    for (std::size_t v = 0; v < kVectors; ++v) {
      const float32x4_t value =
          finish(different[i][v], vdupq_n_f32(tile.inside[i]), scale[v], bias[v], load(residual, v));
      vst1q_f32((kFull ? output : y) + 4 * v, clamp(value, lower, upper));
    }
    for (std::size_t l = 0; !kFull && l < count; ++l) output[l] = y[l];
  }
}

template <std::size_t kPixels>
void multiply_pixels(const Product& p, std::size_t index, Word* x) {
  Tile<kPixels> tile;
  tile.index = index;
  for (std::size_t i = 0; i < kPixels; ++i) {
    const std::size_t sample = (index + i) / p.pixels_per_sample;
    const Pixel pixel = p.pixels[index + i - sample * p.pixels_per_sample];
    tile.window[i] = p.input + sample * p.sample_stride + pixel.input;
    tile.border_weights[i] = p.border_weights + pixel.border * p.border_stride;
    tile.inside[i] = static_cast<float>(p.inside[pixel.border]);
  }
  const std::size_t triples = p.runs * p.run_words / 3, panel_words = triples * 3 * kLanes;
  const bool fits = triples <= kBufferTriples;
  if (fits) broadcast<kPixels>(p, tile.window, 0, triples, x);

  const Word* w = p.panels + p.panel_begin * panel_words;
  std::size_t o = p.panel_begin * kLanes;
  const std::size_t end = smaller(p.panel_end * kLanes, p.channels);
  for (; o + kLanes <= end; o += kLanes, w += panel_words) {
    multiply_panel<kPixels, true>(p, tile, w, triples, fits, x, o, kLanes);
  }
  if (o < end) multiply_panel<kPixels, false>(p, tile, w, triples, fits, x, o, end - o);
}

void multiply(const Product& product) {
  const Product p = product;  // a copy that nothing can point to: the compiler keeps it in registers across the assembly
  alignas(64) Word x[12 * kTilePixels * kBufferTriples];
  std::size_t index = p.pixel_begin;
  for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) multiply_pixels<kTilePixels>(p, index, x);
  for (; index < p.pixel_end; ++index) multiply_pixels<1>(p, index, x);
}

}  // namespace

extern const Kernel kernel_neon;  // const objects are internal without a declaration
const Kernel kernel_neon = {"neon", kLanes, /*triples=*/true, sum_rows, pack_signs, gather_runs_portable, multiply};

}  // namespace rbnn
