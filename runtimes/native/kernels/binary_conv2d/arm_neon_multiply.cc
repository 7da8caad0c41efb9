// The product of the NEON kernel: arm_neon_windows.h has what it reads of windows, arm_neon_count.h its inner loop.
//
// Tail: the last panel's missing channels are 0 in the weights, and it goes through copies that are filled up to 8
// values; pixels that do not fill a tile are a tile each.

#include <arm_neon.h>

#include <limits>

#include "kernels/binary_conv2d/arm_neon.h"
#include "kernels/binary_conv2d/arm_neon_count.h"
#include "kernels/binary_conv2d/arm_neon_windows.h"

namespace rbnn::neon {
namespace {

enum class Clamp {
  kNone,      // no bound
  kExtremes,  // maximum and minimum
  kZero,      // the lower bound is 0: the maximum of +0 and -0 is +0, and -0 has to pass
};

// What a call writes, in which steps.
template <bool kBitsValue, bool kResidualValue, Clamp kClampValue>
struct Kind {
  static constexpr bool kBits = kBitsValue, kResidual = kResidualValue;
  static constexpr Clamp kClamp = kClampValue;
};

// Some pixels and the parts of their windows that are counted.
template <std::size_t kPixels>
struct Tile {
  const Word* window[kPixels];
  const std::int32_t* starts[kPixels];
  std::size_t first, triples;  // of those of a window
  Word* x;                     // the windows if they fit, else where to broadcast them to
  bool fits;
};

// What the tiles of a call have in common.
struct Buffers {
  std::size_t panel_triples;
  Places places;  // of a whole window, if it fits
  alignas(64) Word x[kBroadcastTriple * kTilePixels * (kBufferTriples + 1)];

  explicit Buffers(const Product& p) : panel_triples((p.runs * p.run_words + kTripleWords - 1) / kTripleWords) {
    if (panel_triples <= kBufferTriples) describe(p, 0, panel_triples, places);
  }
};

inline float32x4_t clamp_zero(float32x4_t value, float32x4_t upper) {
  const uint32x4_t negative = vcltzq_f32(value);
  return vminq_f32(vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), negative)), upper);
}

// Bit l is 1 where lane l is at least 0.
inline std::uint8_t signs(int32x4_t low, int32x4_t high) {
  const std::uint8_t powers[kLanes] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x8_t bits = vcombine_u16(vmovn_u32(vcgezq_s32(low)), vmovn_u32(vcgezq_s32(high)));
  return vaddv_u8(vand_u8(vmovn_u16(bits), vld1_u8(powers)));
}

static_assert(kLanes == 8, "a panel's bits are a byte, and it has two halves of four channels");

// Twice the popcounts of a panel's windows and weights that differ, but for kUncounted of each triple's; vectors as in
// Counts.
template <std::size_t kPixels>
struct Differences {
  int16x8_t twice[(kPixels + 1) / 2][2];
};

template <std::size_t kPixels>
[[gnu::always_inline]] inline Differences<kPixels> differences(const Word* x, const Word* w, std::size_t n) {
  const Counts<kPixels> c = count<kPixels>(x, w, n);
  Differences<kPixels> d;
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t pair = 0; pair < (kPixels + 1) / 2; ++pair) {
      // popcount(s) + 2 popcount(majority), where popcount(s) = 64 - popcount(~s)
      const int16x8_t majority = vreinterpretq_s16_u16(c.majority[pair][half]);
      const int16x8_t once = vsubq_s16(vaddq_s16(majority, majority), vreinterpretq_s16_u16(c.not_s[pair][half]));
      d.twice[pair][half] = vaddq_s16(once, once);
    }
  }
  return d;
}

// Four sums of pixel i: its starts, less its differences. `start` is at the panel's first channel.
template <std::size_t kPixels>
[[gnu::always_inline]] inline int32x4_t sum_of(const Differences<kPixels>& d, const std::int32_t* start, std::size_t i,
                                               std::size_t half) {
  const int16x8_t twice = d.twice[i / 2][half];
  const int32x4_t from = vld1q_s32(start + 4 * half);
  return i % 2 == 0 ? vsubw_s16(from, vget_low_s16(twice)) : vsubw_high_s16(from, twice);
}

// Writes the outputs of a tile and of 8 channels from `o` on, whose starts are at `start`; `index` is the first
// pixel's.
template <typename Kind, std::size_t kPixels>
[[gnu::always_inline]] inline void finish(const Product& p, const std::int32_t* const (&starts)[kPixels],
                                          std::size_t start, const Differences<kPixels>& d, std::size_t index,
                                          std::size_t o) {
  if (Kind::kBits) {
    std::uint8_t* const bits = p.bits + index * p.bits_stride + o / 8;
    for (std::size_t i = 0; i < kPixels; ++i) {
      bits[i * p.bits_stride] = signs(sum_of(d, starts[i] + start, i, 0), sum_of(d, starts[i] + start, i, 1));
    }
    return;
  }
  const float* residual = p.residual + index * p.residual_stride + o;
  float* output = p.output + index * p.output_stride + o;
  const float32x4_t lower = vdupq_n_f32(p.lower), upper = vdupq_n_f32(p.upper);
  float32x4_t y[kPixels][2];
  for (std::size_t half = 0; half < 2; ++half) {
    const float32x4_t scale = vld1q_f32(p.scale + o + 4 * half), bias = vld1q_f32(p.bias + o + 4 * half);
    for (std::size_t i = 0; i < kPixels; ++i) {
      y[i][half] = vaddq_f32(vmulq_f32(vcvtq_f32_s32(sum_of(d, starts[i] + start, i, half)), scale), bias);
    }
  }
  for (std::size_t i = 0; i < kPixels; ++i, residual += p.residual_stride, output += p.output_stride) {
    for (std::size_t half = 0; half < 2; ++half) {
      float32x4_t& value = y[i][half];
      if (Kind::kResidual) value = vaddq_f32(value, vld1q_f32(residual + 4 * half));
      if (Kind::kClamp == Clamp::kExtremes) value = vminq_f32(vmaxq_f32(value, lower), upper);
      if (Kind::kClamp == Clamp::kZero) value = clamp_zero(value, upper);
    }
    for (std::size_t half = 0; half < 2; ++half) vst1q_f32(output + 4 * half, y[i][half]);
  }
}

// Counts and finishes a panel of a tile whose windows do not fit into the buffer.
template <typename Kind, std::size_t kPixels>
[[gnu::noinline]] void multiply_long(const Product& p, const Tile<kPixels>& tile, const Word* w, std::size_t index,
                                     std::size_t o) {
  std::int32_t sums[kPixels][kLanes];
  const std::int32_t* starts[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) {
    std::memcpy(sums[i], tile.starts[i] + o, sizeof(sums[i]));
    starts[i] = sums[i];
  }
  for (std::size_t done = 0;; done += kBufferTriples) {
    const std::size_t block = smaller(kBufferTriples, tile.triples - done);
    Places places;
    describe(p, tile.first + done, block, places);
    broadcast<kPixels>(places, tile.window, 0, block, tile.x);
    const Differences<kPixels> d = differences<kPixels>(tile.x, w + done * kPanelTriple, block);
    if (done + block == tile.triples) return finish<Kind, kPixels>(p, starts, 0, d, index, o);
    for (std::size_t i = 0; i < kPixels; ++i) {
      for (std::size_t half = 0; half < 2; ++half) vst1q_s32(sums[i] + 4 * half, sum_of(d, sums[i], i, half));
    }
  }
}

// Counts and finishes a panel of a tile.
template <typename Kind, std::size_t kPixels>
[[gnu::always_inline]] inline void multiply_panel(const Product& p, const Tile<kPixels>& tile, const Word* w,
                                                  std::size_t index, std::size_t o) {
  static_assert(kBufferTriples <= kTriplesPerBlock, "a buffer is counted at once");
  if (!tile.fits) return multiply_long<Kind, kPixels>(p, tile, w, index, o);
  finish<Kind, kPixels>(p, tile.starts, o, differences<kPixels>(tile.x, w, tile.triples), index, o);
}

// The same for the last panel, of which there are `count` channels: through copies that are filled up.
template <typename Kind, std::size_t kPixels>
[[gnu::noinline]] void multiply_partial(const Product& p, const Tile<kPixels>& tile, const Word* w, std::size_t index,
                                        std::size_t o, std::size_t count) {
  std::int32_t starts[kPixels][kLanes] = {};
  float scale[kLanes] = {}, bias[kLanes] = {}, residual[kPixels][kLanes] = {}, output[kPixels][kLanes];
  std::uint8_t bits[kPixels];
  Tile<kPixels> filled = tile;
  Product copy = p;
  copy.scale = scale;
  copy.bias = bias;
  copy.residual = residual[0];
  copy.output = output[0];
  copy.residual_stride = copy.output_stride = kLanes;
  copy.bits = bits;
  copy.bits_stride = 1;
  for (std::size_t i = 0; i < kPixels; ++i) {
    for (std::size_t l = 0; l < count; ++l) starts[i][l] = tile.starts[i][o + l];
    filled.starts[i] = starts[i];
  }
  for (std::size_t l = 0; l < count && !Kind::kBits; ++l) {
    scale[l] = p.scale[o + l];
    bias[l] = p.bias[o + l];
    for (std::size_t i = 0; i < kPixels; ++i) residual[i][l] = p.residual[(index + i) * p.residual_stride + o + l];
  }
  multiply_panel<Kind, kPixels>(copy, filled, w, 0, 0);
  for (std::size_t i = 0; i < kPixels; ++i) {
    if (Kind::kBits) {
      p.bits[(index + i) * p.bits_stride + o / 8] = static_cast<std::uint8_t>(bits[i] & ((1u << count) - 1));
      continue;
    }
    for (std::size_t l = 0; l < count; ++l) p.output[(index + i) * p.output_stride + o + l] = output[i][l];
  }
}

// A pixel of some sample.
struct Place {
  const Word* input;  // of its sample
  std::size_t pixel;
};

// Makes a tile of the pixels from `place` on, which it moves behind them. Where the windows of all of them lack the
// same runs, these are left out.
template <std::size_t kPixels>
inline Tile<kPixels> make_tile(const Product& p, Buffers& buffers, Place& place) {
  Tile<kPixels> tile;
  std::uint32_t border[kPixels];
  for (std::size_t i = 0; i < kPixels; ++i) {
    const Pixel pixel = p.pixels[place.pixel];
    tile.window[i] = place.input + pixel.input;
    border[i] = pixel.border;
    if (++place.pixel == p.pixels_per_sample) place = {place.input + p.sample_stride, 0};
  }
  tile.first = 0;
  tile.triples = buffers.panel_triples;
  const std::int32_t* starts = p.starts;
  if (p.runs_inside != nullptr) {
    const RunRange runs = p.runs_inside[border[0]];
    std::uint32_t other = 0;
    for (std::size_t i = 1; i < kPixels; ++i) {
      const RunRange others = p.runs_inside[border[i]];
      other |= (runs.begin ^ others.begin) | (runs.end ^ others.end);
    }
    if (other == 0) {
      const std::size_t per_run = p.run_words / kTripleWords;
      tile.first = runs.begin * per_run;
      tile.triples = (runs.end - runs.begin) * per_run;
      starts = p.run_starts;
    }
  }
  for (std::size_t i = 0; i < kPixels; ++i) tile.starts[i] = starts + border[i] * p.border_stride;
  tile.x = buffers.x;
  tile.fits = buffers.panel_triples <= kBufferTriples;
  return tile;
}

// Multiplies kPixels pixels, from `place` on, which it moves behind them; `index` is the first one's.
template <typename Kind, std::size_t kPixels>
void multiply_pixels(const Product& p, Buffers& buffers, std::size_t index, Place& place) {
  const Tile<kPixels> tile = make_tile<kPixels>(p, buffers, place);
  if (tile.fits) broadcast<kPixels>(buffers.places, tile.window, tile.first, tile.triples, tile.x);

  const std::size_t panel_words = buffers.panel_triples * kPanelTriple;
  const std::size_t end = smaller(p.panel_end * kLanes, p.channels);
  const Word* w = p.panels + p.panel_begin * panel_words + tile.first * kPanelTriple;
  std::size_t o = p.panel_begin * kLanes;
  for (; o + kLanes <= end; o += kLanes, w += panel_words) multiply_panel<Kind, kPixels>(p, tile, w, index, o);
  if (o < end) multiply_partial<Kind, kPixels>(p, tile, w, index, o, end - o);
}

template <typename Kind>
void multiply_all(const Product& product) {
  const Product p = product;  // a copy that nothing points to, which stays in registers across the assembly
  Buffers buffers(p);
  std::size_t index = p.pixel_begin;
  const std::size_t sample = index / p.pixels_per_sample;
  Place place{p.input + sample * p.sample_stride, index - sample * p.pixels_per_sample};
  for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) {
    multiply_pixels<Kind, kTilePixels>(p, buffers, index, place);
  }
  for (; index < p.pixel_end; ++index) multiply_pixels<Kind, 1>(p, buffers, index, place);
}

// Whether all outputs stay what they are without the addition of the residual: it is +0, and as no bias is -0, no sum
// in front of it is.
inline bool adds_nothing(const Product& p) {
  if (p.residual_stride != 0) return false;
  std::uint32_t residual = 0, bias = 1;
  for (std::size_t o = 0; o < p.channels; ++o) {
    std::uint32_t bits;
    std::memcpy(&bits, p.residual + o, sizeof(bits));
    residual |= bits;
    std::memcpy(&bits, p.bias + o, sizeof(bits));
    bias &= static_cast<std::uint32_t>(bits != 0x80000000u);
  }
  return residual == 0 && bias == 1;
}

template <bool kResidual>
void multiply_floats(const Product& p) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (p.lower == -kInfinity && p.upper == kInfinity) return multiply_all<Kind<false, kResidual, Clamp::kNone>>(p);
  if (p.lower == 0) return multiply_all<Kind<false, kResidual, Clamp::kZero>>(p);
  multiply_all<Kind<false, kResidual, Clamp::kExtremes>>(p);
}

}  // namespace

void multiply(const Product& product) {
  adds_nothing(product) ? multiply_floats<false>(product) : multiply_floats<true>(product);
}

void multiply_bits(const Product& product) { multiply_all<Kind<true, false, Clamp::kNone>>(product); }

}  // namespace rbnn::neon
