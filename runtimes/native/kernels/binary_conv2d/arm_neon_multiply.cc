// The product of the NEON kernel; arm_neon_count.h has its inner loop.
//
// NEON has no operand that broadcasts, and a broadcast takes a vector pipe as any other instruction: so the words of a
// tile's windows are broadcast into a buffer once, which all panels read.
//
// Tail: the last panel's missing channels are 0 in the weights, and it goes through copies that are filled up to 8
// values; pixels that do not fill a tile are a tile each.

#include <arm_neon.h>

#include "kernels/binary_conv2d/arm_neon.h"
#include "kernels/binary_conv2d/arm_neon_count.h"

namespace rbnn::neon {
namespace {

constexpr std::size_t kBufferTriples = 2 * kTriplesPerBlock;  // of a window: 5952 bits; of 3 pixels 9 KiB

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

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

// `value` where it is neither below `lower` nor above `upper`. Not a maximum: that of +0 and -0 is +0, and -0 passes.
// `upper` is no zero.
inline float32x4_t clamp(float32x4_t value, float32x4_t lower, float32x4_t upper) {
  return vminq_f32(vbslq_f32(vcltq_f32(value, lower), lower, value), upper);
}

inline float32x4_t finish(uint32x4_t different, float32x4_t inside, float32x4_t scale, float32x4_t bias,
                          float32x4_t residual) {
  // inside - 2 * different is an integer below 2^24, so this fused multiply-add rounds nothing. (`different` is
  // signed: where padding counts +1, more is taken from the popcount than the border's part in it.)
  float32x4_t y = vfmsq_f32(inside, vcvtq_f32_s32(vreinterpretq_s32_u32(different)), vdupq_n_f32(2));
  y = vmulq_f32(y, scale);
  y = vaddq_f32(y, bias);
  return vaddq_f32(y, residual);
}

// The values besides bits that a panel's outputs are made of, at its first channel.
template <std::size_t kPixels>
struct Panel {
  const std::int32_t* border_weights[kPixels];
  const float *scale, *bias;
  const float* residual;
  std::size_t residual_stride;
  float* output;
  std::size_t output_stride;
  std::uint8_t* bits;
  std::size_t bits_stride;
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

static_assert(kLanes == 8 && kVectors == 2, "a panel's bits are a byte");

// Bit l is 1 where the sum of lane l is at most 0.
inline std::uint8_t signs(const uint32x4_t* different) {
  const std::uint8_t powers[kLanes] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x4_t low = vmovn_u32(vclezq_s32(vreinterpretq_s32_u32(different[0])));
  const uint16x4_t high = vmovn_u32(vclezq_s32(vreinterpretq_s32_u32(different[1])));
  return vaddv_u8(vand_u8(vmovn_u16(vcombine_u16(low, high)), vld1_u8(powers)));
}

// Counts and finishes one panel's outputs of a tile.
template <bool kBits, std::size_t kPixels>
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

  if (kBits) {
    for (std::size_t i = 0; i < kPixels; ++i) panel.bits[i * panel.bits_stride] = signs(different[i]);
    return;
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
template <bool kBits, std::size_t kPixels>
[[gnu::noinline]] void multiply_partial(const Product& p, const Tile<kPixels>& tile, const Word* w,
                                        const Panel<kPixels>& panel, std::size_t count) {
  std::int32_t border_weights[kPixels][kLanes] = {};
  float scale[kLanes] = {}, bias[kLanes] = {}, residual[kPixels][kLanes] = {}, output[kPixels][kLanes];
  std::uint8_t bits[kPixels];
  Panel<kPixels> copy{{}, scale, bias, residual[0], kLanes, output[0], kLanes, bits, 1};
  for (std::size_t i = 0; i < kPixels; ++i) copy.border_weights[i] = border_weights[i];
  for (std::size_t l = 0; l < count; ++l) {
    for (std::size_t i = 0; i < kPixels; ++i) border_weights[i][l] = panel.border_weights[i][l];
    if (kBits) continue;
    scale[l] = panel.scale[l];
    bias[l] = panel.bias[l];
    for (std::size_t i = 0; i < kPixels; ++i) {
      residual[i][l] = panel.residual[i * panel.residual_stride + l];
    }
  }
  multiply_panel<kBits, kPixels>(p, tile, w, copy);
  for (std::size_t i = 0; i < kPixels; ++i) {
    if (kBits) panel.bits[i * panel.bits_stride] = static_cast<std::uint8_t>(bits[i] & ((1u << count) - 1));
    for (std::size_t l = 0; l < count && !kBits; ++l) panel.output[i * panel.output_stride + l] = output[i][l];
  }
}

// A pixel of some sample.
struct Place {
  const Word* input;  // of its sample
  std::size_t pixel;
};

// Multiplies kPixels pixels, from `place` on, which it moves behind them; `index` is the first one's.
template <bool kBits, std::size_t kPixels>
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
  const float* const residual = kBits ? nullptr : p.residual + index * p.residual_stride;
  float* const output = kBits ? nullptr : p.output + index * p.output_stride;
  for (std::size_t o = p.panel_begin * kLanes; o < end; o += kLanes, w += panel_words) {
    const auto panel = [&] {
      Panel<kPixels> at{};
      if (kBits) {
        at.bits = p.bits + index * p.bits_stride + o / 8;
        at.bits_stride = p.bits_stride;
      } else {
        at = {{}, p.scale + o, p.bias + o, residual + o, p.residual_stride, output + o, p.output_stride, nullptr, 0};
      }
      for (std::size_t i = 0; i < kPixels; ++i) at.border_weights[i] = tile.border_weights[i] + o;
      return at;
    };
    if (o + kLanes <= end) {
      multiply_panel<kBits, kPixels>(p, tile, w, panel());
    } else {
      multiply_partial<kBits, kPixels>(p, tile, w, panel(), end - o);
    }
  }
}

template <bool kBits>
void multiply_all(const Product& product) {
  const Product p = product;  // a copy that nothing points to, which stays in registers across the assembly
  alignas(64) Word x[12 * kTilePixels * kBufferTriples];
  std::size_t index = p.pixel_begin;
  const std::size_t sample = index / p.pixels_per_sample;
  Place place{p.input + sample * p.sample_stride, index - sample * p.pixels_per_sample};
  for (; index + kTilePixels <= p.pixel_end; index += kTilePixels)
    multiply_pixels<kBits, kTilePixels>(p, index, place, x);
  for (; index < p.pixel_end; ++index) multiply_pixels<kBits, 1>(p, index, place, x);
}

}  // namespace

void multiply(const Product& product) { multiply_all<false>(product); }
void multiply_bits(const Product& product) { multiply_all<true>(product); }

}  // namespace rbnn::neon
