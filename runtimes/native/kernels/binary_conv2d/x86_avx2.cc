// AVX2: Haswell and Zen onwards. There is no popcount of a vector; a look-up in a table of 16 bytes (vpshufb) counts.
//
// The usual way looks up the bits of x ^ w. Here the weights are the index and the activations choose the table: for
// four activations a there are sixteen tables, of popcount(a ^ i) for i = 0 .. 15, all of them constants. So one
// vpshufb and one vpaddb count four bits of 32 outputs, and nothing is xored, masked or shifted. (T-MAC, arXiv
// 2407.00088, has weights as the index too, and tables made of activations of several bits.)
//
// multiply. A vector of weights holds a byte of the window for 16 output channels: in its lower half the low four bits,
// in its upper half the high four, one to a byte (`arrange`). The table for a byte of activations is two tables,
// likewise: kTables has the 256 pairs, 8 KB. A tile is 4 pixels by 2 panels, eight counters in bytes.
//
//   for one byte of 4 pixels and 32 channels, 1024 binary products: 8 vpshufb, 8 vpaddb, 6 loads of vectors, 4 of bytes
//   and as many shifts for the tables' addresses
//
// vpshufb runs once (Haswell, Skylake) or twice per cycle, so that this takes 8 or 4 cycles, and 5.3 with three ports
// for vectors.
//
// Overflow: a byte counts at most 4 for each step, and is widened after 63. A 32-bit lane counts bits of one window,
// fewer than 2^24.
// Tail: the last panel's missing channels are 0 in the weights, and its epilogue loads and stores under a mask.

#include <immintrin.h>

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/binary_conv2d/tile.h"
#include "kernels/binary_conv2d/window_sums.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kTilePixels = 4;
constexpr std::size_t kTilePanels = 2;
constexpr std::size_t kExpansion = 2;    // bytes of arranged weights per byte of weights
constexpr std::size_t kWidenAfter = 63;  // steps of at most 4

struct Tables {
  alignas(32) std::uint8_t count[256][2][16];  // [activations][low, high four of them][weights]

  constexpr Tables() : count() {
    for (unsigned a = 0; a < 256; ++a) {
      for (unsigned i = 0; i < 16; ++i) {
        count[a][0][i] = ones((a & 15) ^ i);
        count[a][1][i] = ones((a >> 4) ^ i);
      }
    }
  }
  static constexpr std::uint8_t ones(unsigned four) {
    return static_cast<std::uint8_t>((four & 1) + (four >> 1 & 1) + (four >> 2 & 1) + (four >> 3));
  }
};
constexpr Tables kTables;

// Of `words` words of a panel, [word][lane], to [word][byte of the word][low, high four bits][lane], one to a byte.
void arrange(const Word* words, std::size_t count, Word* arranged) {
  auto* to = reinterpret_cast<std::uint8_t*>(arranged);
  for (std::size_t k = 0; k < count; ++k, words += kLanes) {
    for (std::size_t shift = 0; shift < kWordBits; shift += 4) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) *to++ = static_cast<std::uint8_t>(words[lane] >> shift & 15);
    }
  }
}

// As intrinsics, GCC 12 copies counters, has no register left for the last one, and adds to it in memory, at a third of
// the speed. The sanitizers get the intrinsics.
inline void add_counts(__m256i table, __m256i weights, __m256i& bytes) {
#if defined(RBNN_NO_INLINE_ASSEMBLY)
  bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table, weights));
#else
  __m256i counts;
  __asm__(
      "vpshufb %[weights], %[table], %[counts]\n\t"
      "vpaddb %[counts], %[bytes], %[bytes]"
      : [bytes] "+x"(bytes), [counts] "=&x"(counts)
      : [weights] "x"(weights), [table] "x"(table));
#endif
}

// Counters of a pixel and a panel: bytes, of the low and of the high four bits; and 32-bit sums of 16 channels.
struct Sums {
  __m256i low, high;  // channels 0 to 7, 8 to 15

  void add(__m256i bytes) {
    const __m256i counts = _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes)),
                                            _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1)));
    low = _mm256_add_epi32(low, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(counts)));
    high = _mm256_add_epi32(high, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(counts, 1)));
  }
};

// sums[i][v] += the popcount of window i ^ the panel at w + v * panel_bytes.
template <std::size_t kPixels, std::size_t kPanels>
inline void count_windows(const Product& p, const Word* const* window, const std::uint8_t* w, std::size_t panel_bytes,
                          Sums (*sums)[kPanels]) {
  const std::size_t run_bytes = bytes_for_bits(p.run_bits), gap = (p.run_words * sizeof(Word) - run_bytes) * 2 * kLanes;
  const std::uint8_t* const table = kTables.count[0][0];
  const std::uint8_t* x[kPixels];
  __m256i bytes[kPixels][kPanels];
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    x[i] = reinterpret_cast<const std::uint8_t*>(window[i]);
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) bytes[i][v] = _mm256_setzero_si256();
  }
  std::size_t until_widening = kWidenAfter;
  for (std::size_t run = 0, offset = 0; run < p.runs; ++run, offset += p.run_stride * sizeof(Word), w += gap) {
    for (std::size_t k = offset, end = offset + run_bytes; k != end;) {
      std::size_t steps = end - k < until_widening ? end - k : until_widening;
      until_widening -= steps;
      for (const std::size_t stop = k + steps; k != stop; ++k, w += 2 * kLanes) {
        __m256i weights[kPanels];
        RBNN_UNROLL
        for (std::size_t v = 0; v < kPanels; ++v) {
          weights[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + v * panel_bytes));
        }
        RBNN_UNROLL
        for (std::size_t i = 0; i < kPixels; ++i) {
          const __m256i counts = _mm256_load_si256(
              reinterpret_cast<const __m256i*>(table + std::size_t{x[i][k]} * sizeof(kTables.count[0])));
          RBNN_UNROLL
          for (std::size_t v = 0; v < kPanels; ++v) {
            add_counts(counts, weights[v], bytes[i][v]);
          }
        }
      }
      if (until_widening != 0) continue;
      until_widening = kWidenAfter;
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i) {
        RBNN_UNROLL
        for (std::size_t v = 0; v < kPanels; ++v) {
          sums[i][v].add(bytes[i][v]);
          bytes[i][v] = _mm256_setzero_si256();
        }
      }
    }
  }
  RBNN_UNROLL
  for (std::size_t i = 0; i < kPixels; ++i) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) sums[i][v].add(bytes[i][v]);
  }
}

// Loads and stores of eight channels; where there are fewer, masked.
template <bool kFull>
struct Lanes {
  __m256i mask;

  Lanes() = default;
  explicit Lanes(std::size_t count)
      : mask(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count < 8 ? count : 8)),
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

// Finishes eight channels of one pixel.
template <bool kFull>
inline void finish(const Product& p, const Lanes<kFull>& lanes, __m256i different, __m256 inside, __m256 scale,
                   __m256 bias, const float* residual, float* output) {
  // All integers below 2^24: nothing is rounded.
  const __m256 count = _mm256_cvtepi32_ps(different);
  __m256 y = _mm256_sub_ps(inside, _mm256_add_ps(count, count));
  y = _mm256_mul_ps(y, scale);
  y = _mm256_add_ps(y, bias);
  y = _mm256_add_ps(y, lanes.load(residual));
  // vmaxps and vminps return their second operand where one is a NaN or both are zeros: y passes.
  lanes.store(output, _mm256_min_ps(_mm256_set1_ps(p.upper), _mm256_max_ps(_mm256_set1_ps(p.lower), y)));
}

// The signs of one pixel's panel.
inline void finish_bits(const Sums& different, std::size_t channels, std::uint8_t* bits) {
  const auto above = [](__m256i sums) {
    const __m256i positive = _mm256_cmpgt_epi32(sums, _mm256_setzero_si256());
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(positive)));
  };
  const unsigned passes = ~(above(different.low) | above(different.high) << 8);
  if (channels >= kLanes) {
    const auto word = static_cast<std::uint16_t>(passes);
    __builtin_memcpy(bits, &word, sizeof(word));
    return;
  }
  const unsigned kept = passes & ((1u << channels) - 1);
  bits[0] = static_cast<std::uint8_t>(kept);
  if (channels > 8) bits[1] = static_cast<std::uint8_t>(kept >> 8);
}

template <std::size_t kPixels, std::size_t kPanels, bool kFull, bool kBits>
inline void multiply_tile(const Product& p, const Tile<kPixels>& tile, std::size_t panel, std::size_t index) {
  const std::size_t channel = panel * kLanes;
  const std::size_t panel_bytes = p.runs * p.run_words * kLanes * sizeof(Word) * kExpansion;
  Sums sums[kPixels][kPanels];
  Lanes<kFull> low[kPanels], high[kPanels];
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) {
    const std::size_t left = p.channels - channel - v * kLanes;
    low[v] = Lanes<kFull>(left);
    high[v] = Lanes<kFull>(left < 8 ? 0 : left - 8);
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i) {
      const std::int32_t* const border_weights = tile.border_weights[i] + channel + v * kLanes;
      sums[i][v] = {low[v].load(border_weights), high[v].load(border_weights + 8)};
    }
  }
  count_windows<kPixels, kPanels>(p, tile.window, reinterpret_cast<const std::uint8_t*>(p.panels) + panel * panel_bytes,
                                  panel_bytes, sums);

  if (kBits) {
    RBNN_UNROLL
    for (std::size_t v = 0; v < kPanels; ++v) {
      std::uint8_t* bits = p.bits + index * p.bits_stride + (channel + v * kLanes) / 8;
      RBNN_UNROLL
      for (std::size_t i = 0; i < kPixels; ++i, bits += p.bits_stride) {
        finish_bits(sums[i][v], p.channels - channel - v * kLanes, bits);
      }
    }
    return;
  }
  RBNN_UNROLL
  for (std::size_t v = 0; v < kPanels; ++v) {
    const std::size_t first = channel + v * kLanes;
    const __m256 scale_low = low[v].load(p.scale + first), scale_high = high[v].load(p.scale + first + 8);
    const __m256 bias_low = low[v].load(p.bias + first), bias_high = high[v].load(p.bias + first + 8);
    const float* residual = p.residual + index * p.residual_stride + first;
    float* output = p.output + index * p.output_stride + first;
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i) {
      const __m256 inside = _mm256_set1_ps(tile.inside[i]);
      finish(p, low[v], sums[i][v].low, inside, scale_low, bias_low, residual, output);
      finish(p, high[v], sums[i][v].high, inside, scale_high, bias_high, residual + 8, output + 8);
      residual += p.residual_stride;
      output += p.output_stride;
    }
  }
}

// The panels [begin, end) of kPixels pixels.
template <bool kBits, std::size_t kPixels>
void multiply_pixels(const Product& p, Cursor& cursor, std::size_t index, std::size_t begin, std::size_t end) {
  const Tile<kPixels> tile(p, cursor);
  std::size_t panel = begin;
  for (; panel + kTilePanels <= end; panel += kTilePanels) {
    if (kPixels == kTilePixels && p.channels >= (panel + kTilePanels) * kLanes) {  // nearly all tiles
      multiply_tile<kPixels, kTilePanels, true, kBits>(p, tile, panel, index);
    } else {
      multiply_tile<kPixels, kTilePanels, false, kBits>(p, tile, panel, index);
    }
  }
  if (panel == end) return;
  if (p.channels >= (panel + 1) * kLanes) {
    multiply_tile<kPixels, 1, true, kBits>(p, tile, panel, index);
  } else {
    multiply_tile<kPixels, 1, false, kBits>(p, tile, panel, index);
  }
}

template <bool kBits>
void multiply(const Product& p) {
  const std::size_t step = panels_in_cache(p, kLanes * kExpansion, kTilePanels);
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; panel += step) {
    const std::size_t end = p.panel_end - panel < step ? p.panel_end : panel + step;
    Cursor cursor(p, p.pixel_begin);
    std::size_t index = p.pixel_begin;
    for (; index + kTilePixels <= p.pixel_end; index += kTilePixels) {
      multiply_pixels<kBits, kTilePixels>(p, cursor, index, panel, end);
    }
    for (; index < p.pixel_end; ++index) multiply_pixels<kBits, 1>(p, cursor, index, panel, end);
  }
}

}  // namespace

const ConvKernel conv_avx2 = {kLanes,          /*run_multiple=*/1, /*triples=*/false,  gather_runs_portable,
                              multiply<false>, multiply<true>,     sum_windows<false>, kExpansion,
                              arrange};

}  // namespace rbnn
