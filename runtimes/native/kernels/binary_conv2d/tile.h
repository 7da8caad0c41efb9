// The windows that a tile reads, for all x86 kernels.
//
// In an unnamed namespace, so that each kernel's file keeps a copy of its own, compiled with its own flags.

#pragma once

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/unroll.h"

namespace rbnn {
namespace {

// A range of pixels, counted through the samples. No division a pixel: it would cost as much as its epilogue.
struct Cursor {
  const Pixel* pixel;   // the next one
  const Pixel* end;     // behind the last one of a sample
  const Word* windows;  // of the sample

  Cursor(const Product& p, std::size_t index)
      : pixel(p.pixels + index % p.pixels_per_sample),
        end(p.pixels + p.pixels_per_sample),
        windows(p.input + index / p.pixels_per_sample * p.sample_stride) {}

  void advance(const Product& p) {
    if (++pixel == end) {
      pixel = p.pixels;
      windows += p.sample_stride;
    }
  }
};

template <std::size_t kPixels>
struct Tile {
  const Word* window[kPixels];
  const std::int32_t* border_weights[kPixels];
  float inside[kPixels];

  Tile(const Product& p, Cursor& cursor) {
    RBNN_UNROLL
    for (std::size_t i = 0; i < kPixels; ++i) {
      window[i] = cursor.windows + cursor.pixel->input;
      border_weights[i] = p.border_weights + cursor.pixel->border * p.border_stride;
      inside[i] = static_cast<float>(p.inside[cursor.pixel->border]);
      cursor.advance(p);
    }
  }
};

// How many panels of the weights, a multiple of `unit`, fit into half of a first-level cache, where they stay while
// pixels pass. Within them, a pixel's outputs are written one after the other, and its residuals read so: memory likes
// that.
inline std::size_t panels_in_cache(const Product& p, std::size_t lanes, std::size_t unit) {
  constexpr std::size_t kWeightBytes = 20 * 1024;
  const std::size_t fitting = kWeightBytes / (p.runs * p.run_words * lanes * sizeof(Word)) / unit * unit;
  return fitting == 0 ? unit : fitting;
}

}  // namespace
}  // namespace rbnn
