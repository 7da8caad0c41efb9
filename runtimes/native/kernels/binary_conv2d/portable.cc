// The kernel that every processor runs, and the one to read first: plain C++17, written so that a compiler can use
// whatever vectors the target's baseline has (SSE2, NEON).
//
// Overflow: a byte counter takes at most 8 per word, so 31 words (248) are counted in bytes before they are widened.
// Tail: panels are padded with zero weights; the epilogue stops at the last channel.

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/binary_conv2d/window_sums.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kWordsPerWidening = 31;

// The popcount of each byte of `v`.
inline Word byte_counts(Word v) {
  v -= (v >> 1) & 0x55555555u;
  v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
  return (v + (v >> 4)) & 0x0f0f0f0fu;
}

// The sum of the four bytes of `v`; it exceeds a byte, so a multiplication by 0x01010101 would lose its carry.
inline Word sum_of_bytes(Word v) {
  v = (v & 0x00ff00ffu) + ((v >> 8) & 0x00ff00ffu);
  return (v & 0xffffu) + (v >> 16);
}

// Adds popcount(x ^ w) over one run to `count`, for each lane.
void count_run(const Word* x, const Word* w, std::size_t words, Word* count) {
  for (std::size_t begin = 0; begin < words; begin += kWordsPerWidening) {
    const std::size_t end = words - begin < kWordsPerWidening ? words : begin + kWordsPerWidening;
    Word bytes[kLanes] = {};
    for (std::size_t k = begin; k < end; ++k) {
      for (std::size_t l = 0; l < kLanes; ++l) bytes[l] += byte_counts(x[k] ^ w[k * kLanes + l]);
    }
    for (std::size_t l = 0; l < kLanes; ++l) count[l] += sum_of_bytes(bytes[l]);
  }
}

void finish(const Product& p, std::size_t index, const Pixel& pixel, std::size_t channel, std::size_t lanes,
            const std::int32_t* different) {
  const float* residual = p.residual + index * p.residual_stride + channel;
  float* y = p.output + index * p.output_stride + channel;
  for (std::size_t l = 0; l < lanes; ++l) {
    float value = static_cast<float>(p.inside[pixel.border] - 2 * different[l]) * p.scale[channel + l];
    value += p.bias[channel + l];
    value += residual[l];
    value = value < p.lower ? p.lower : value;
    y[l] = value > p.upper ? p.upper : value;
  }
}

void finish_bits(const Product& p, std::size_t index, std::size_t channel, std::size_t lanes,
                 const std::int32_t* different) {
  unsigned byte = 0;
  for (std::size_t l = 0; l < lanes; ++l) byte |= (different[l] <= 0 ? 1u : 0u) << l;
  p.bits[index * p.bits_stride + channel / 8] = static_cast<std::uint8_t>(byte);
}

template <bool kBits>
void multiply(const Product& p) {
  const std::size_t words = p.run_words;
  const std::size_t panel_words = p.runs * words * kLanes;
  for (std::size_t panel = p.panel_begin; panel < p.panel_end; ++panel) {
    const std::size_t channel = panel * kLanes;
    const std::size_t lanes = p.channels - channel < kLanes ? p.channels - channel : kLanes;
    for (std::size_t index = p.pixel_begin; index < p.pixel_end; ++index) {
      const Pixel pixel = p.pixels[index % p.pixels_per_sample];
      const Word* x = p.input + index / p.pixels_per_sample * p.sample_stride + pixel.input;
      const Word* w = p.panels + panel * panel_words;
      Word count[kLanes] = {};
      for (std::size_t run = 0; run < p.runs; ++run, x += p.run_stride, w += words * kLanes) {
        count_run(x, w, words, count);
      }
      const std::int32_t* border = p.border_weights + pixel.border * p.border_stride + channel;
      std::int32_t different[kLanes];
      for (std::size_t l = 0; l < lanes; ++l) different[l] = border[l] + static_cast<std::int32_t>(count[l]);
      if (kBits) {
        finish_bits(p, index, channel, lanes, different);
      } else {
        finish(p, index, pixel, channel, lanes, different);
      }
    }
  }
}

}  // namespace

const ConvKernel conv_portable = {kLanes,          /*run_multiple=*/1, /*triples=*/false, gather_runs_portable,
                                  multiply<false>, multiply<true>,     sum_windows<false>};

}  // namespace rbnn
