// The part of one instruction set in the binary convolution: two functions on raw pointers. Row sums and sign
// packing are operations of their own; everything around them (geometry, packing of weights, gathering of taps,
// threads) is shared and lives in the other files of this directory.
//
// A file per instruction set defines one ConvKernel; kernels.inc lists them all. Those files are compiled with flags
// that the rest of the library is not, so they include nothing but this header, bits.h and intrinsics, and keep
// everything but their ConvKernel in an anonymous namespace.

#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bits.h"

namespace rbnn {

// Some runs of a window.
struct RunRange {
  std::uint32_t begin, end;
};

// One output pixel of a sample.
struct Pixel {
  std::uint32_t input;   // where the bits of its window start, in words from the start of the sample's
  std::uint32_t border;  // which taps of its window are outside the image: an index of Product's border tables
};

// The matrix product of window bits and weight bits over a range of pixels and of panels of output channels, with its
// epilogue. For output pixel p and output channel o:
//
// 1. A window is `runs` runs of run_words words, of which run_bits bits count. Run r starts at input + r * run_stride.
// 2. With equal bits counting +1 and different bits -1, over K bits: acc = K - 2 * popcount(x ^ w).
// 3. Bits outside the image, and those behind the last channel, are 0 in x. The former are any bit in w: such a tap
//    adds its popcount(w) to the sum of popcount(x ^ w) = popcount(w), whatever the activations. border_weights holds
//    minus that sum, an integer, so with K = inside, the number of true bits inside the image,
//        acc = inside - 2 * (border_weights + popcount(x ^ w)),   exactly, and a tap outside contributes 0.
//    Where padding counts -1 or +1, `inside` and border_weights hold other numbers, and the equation stays (plan.cc).
//    Bits behind run_bits, up to a run's end, are 0 in w; in x they are 0, or another window's where windows overlap.
// 4. y = clamp(acc * scale + bias + residual), each step rounded to float32 on its own; clamp as in clamp's comment.
//
// Triples (only if ConvKernel::triples): run_words is a multiple of three, and words a, b, c of a run are stored, on
// both sides, as a, a ^ b, a ^ b ^ c. With d1, d2, d3 the xor of x and w in the three words, one xor each then gives
//    d1,  e = d1 ^ d2,  s = d1 ^ d2 ^ d3,
// and the carry-save adder's other output is majority(d1, d2, d3) = e ? ~s : d1 (where d1 and d2 differ, d3 = s ^ e =
// ~s decides; else they do). So popcount(d1) + popcount(d2) + popcount(d3) = popcount(s) + 2 * popcount(majority):
// two popcounts and one select instead of three popcounts.
struct Product {
  const Word* input;          // windows of sample 0, of this group
  std::size_t sample_stride;  // words
  const Pixel* pixels;        // [pixels_per_sample]
  std::size_t pixels_per_sample;
  std::size_t pixel_begin, pixel_end;  // counted through all samples
  std::size_t runs, run_stride, run_words;
  std::size_t run_bits;  // of a run; what is behind them in its last words may be bits of another one

  // [panel][run][word][lane]: a panel is `lanes` output channels; the last one is padded with 0. Behind the runs are
  // zeros up to a multiple of ConvKernel::panel_multiple words. Or as ConvKernel::arrange has made it.
  const Word* panels;
  std::size_t panel_begin, panel_end;
  std::size_t channels;  // output channels of this group

  const std::int32_t* border_weights;  // [border][border_stride]
  std::size_t border_stride;
  const std::int32_t* inside;  // [border]

  // Of kernels with ConvKernel::uncounted, in place of border_weights and inside: acc is `starts` minus twice what the
  // kernel counts, which may be too little by the same number for all windows (`uncounted`). A kernel may leave out
  // runs without a bit inside the image: then it counts those of `runs_inside`, one at least, and `run_starts` is for
  // `starts`.
  const std::int32_t* starts;      // [border][border_stride]
  const std::int32_t* run_starts;  // [border][border_stride]; null if no window lacks a run
  const RunRange* runs_inside;     // [border]; likewise

  const float* scale;     // [channels]
  const float* bias;      // [channels]
  const float* residual;  // of pixel 0; may be the same memory as output
  std::size_t residual_stride;
  float* output;  // of pixel 0
  std::size_t output_stride;
  float lower, upper;  // y < lower gives lower, y > upper gives upper, all else (a NaN, a -0.0 against 0) passes

  // Of multiply_bits, which reads neither `inside` nor what step 4 is made of:
  //
  // 5. acc >= T is inside - 2 * (border_weights + popcount(x ^ w)) >= T, which for whole numbers is
  //        border_weights - floor((inside - T) / 2) + popcount(x ^ w) <= 0.
  //    border_weights holds that difference of the first two; bit o of a pixel is 1 where the sum is at most 0. Tables
  //    of starts hold starts - T; the bit is 1 where acc, made of them, is at least 0.
  std::uint8_t* bits;       // of pixel 0 and channel 0; bits behind the last channel, up to a whole byte, become 0
  std::size_t bits_stride;  // bytes
};

// Runs of neighbouring windows whose bits are neighbours in the packed input row as well: run i is the run_bits bits
// that start at bit `position + i * step` of `bits`, in run_words words with 0 behind the last bit, as triples if so.
struct Runs {
  const Word* bits;  // one word behind the last one that holds a bit may be read as well
  std::size_t position, step;
  std::size_t count, run_bits, run_words;
  bool triples;
  Word* output;
  std::size_t output_stride;  // words
};

struct ConvKernel {
  std::size_t lanes;         // output channels in a panel, a multiple of 8
  std::size_t run_multiple;  // a run has a multiple of so many words
  bool triples;              // whether `multiply` wants words as triples

  void (*gather_runs)(const Runs& runs);

  void (*multiply)(const Product& product);
  void (*multiply_bits)(const Product& product);

  // sums[p], counted from pixel 0, = acc with every weight +1, of the pixels [pixel_begin, pixel_end): with bits that
  // are 0 outside the image, 2 popcount(x) - inside. Reads neither weights nor what the epilogue is made of.
  void (*sum_windows)(const Product& product, float* sums);

  // Brings `count` words of panels, [word][lane], into the order that `multiply` wants, `expansion` times as many; null
  // for the same order.
  std::size_t expansion = 1;
  void (*arrange)(const Word* words, std::size_t count, Word* arranged) = nullptr;

  // A panel has a multiple of so many words per lane, and `multiply` may read as many behind the last one.
  std::size_t panel_multiple = 1;
  // By how much its popcounts are too low per panel_multiple words, if it reads `starts`; else -1.
  std::int32_t uncounted = -1;
};

// const objects are internal without a declaration
#define RBNN_KERNEL(isa) extern const ConvKernel conv_##isa;
#include "kernels/binary_conv2d/kernels.inc"

// gather_runs in plain C++, for kernels that have nothing better.
void gather_runs_portable(const Runs& runs);

}  // namespace rbnn
