// The part of one instruction set in QuantConv2d: functions on raw pointers. Geometry, packing of weights and threads
// are shared and live in the other files of this folder.
//
// A file per instruction set defines one QuantKernel; kernels.inc lists them all. Those files are compiled with flags
// that the rest of the library is not, so they include nothing but this header, steps.h, unroll.h and intrinsics, and
// keep everything but their QuantKernel in an anonymous namespace.

#pragma once

#include <cstddef>
#include <cstdint>

namespace rbnn {

// How an activation a of low .. high is stored: as a - offset. A tap outside the map is an activation 0, stored as
// -offset, so that all windows are alike.
enum class Storage {
  kUnsignedByte,  // offset = low
  kSignedByte,    // offset = low + 128
  kShort,         // an int16, offset = 0
};

// In an unnamed namespace: see bits.h.
namespace {

constexpr std::size_t bytes_of(Storage storage) {
  return storage == Storage::kShort ? sizeof(std::int16_t) : sizeof(std::int8_t);
}

constexpr std::int32_t offset_of(Storage storage, std::int32_t low) {
  return storage == Storage::kShort ? 0 : storage == Storage::kSignedByte ? low + 128 : low;
}

}  // namespace

struct Quantisation {
  float factor, low, high;
  std::int32_t offset;
};

// One row of a map of planes: element (c, i) is x[c * plane + i * step].
struct Planes {
  const float* x;
  std::size_t plane, step, channels, count;
};

// The matrix product of some windows of one row of the output and some panels of output channels, and the float steps.
// A window is `runs` runs of run_words words; run r of window i begins at rows[r] + i * pixel_bytes, at any address.
// A word is per_word stored activations, a panel [run][word][lane][per_word] weights, where weights behind the last of
// a run are 0, so activations there may be anything. start[o] is offset * the sum of o's weights, modulo 2^32 as the
// sum.
struct QuantProduct {
  const std::uint8_t* const* rows;
  std::size_t runs, run_words, pixel_bytes, pixels;
  const std::uint8_t* panels;  // of the first of them, aligned
  std::size_t panel_bytes;
  std::size_t channels;  // of all panels together: the last one may have fewer than there are lanes

  const std::int32_t* start;  // [panels][lanes], as are scale and bias
  const float* scale;
  const float* bias;
  const float* residual;
  std::size_t residual_stride;
  float* output;
  std::size_t output_stride;
  float lower, upper;  // y < lower gives lower, y > upper gives upper, all else (a NaN, a -0.0 against 0) passes
};

// One row of the max pool: window v covers the columns v * stride - pad .. + taps - 1 that are inside.
struct PoolRow {
  const float* const* rows;  // those of the window that are inside, one at least
  std::size_t row_count, width, stride_floats, channels;
  std::size_t taps, stride, pad;
  float* output;
  std::size_t count, output_stride;
};

// The mean of a window of [rows][columns] pixels of `channels` floats.
struct MeanWindow {
  const float* x;
  std::size_t row, column, channel;  // floats between neighbours
  std::size_t rows, columns, channels;
  double* sums;  // [channels]
  float* output;
};

struct QuantKernel {
  std::size_t lanes;
  Storage storage;
  std::size_t per_word;

  void (*quantise)(const Quantisation& q, const float* x, std::size_t count, void* stored);
  void (*quantise_planes)(const Quantisation& q, const Planes& planes, void* stored);
  void (*multiply)(const QuantProduct& product);
  void (*pool)(const PoolRow& row);
  void (*mean)(const MeanWindow& window);
};

// const objects are internal without a declaration
#define RBNN_KERNEL(isa) extern const QuantKernel quant_##isa;
#include "kernels/quant_conv2d/kernels.inc"

}  // namespace rbnn
