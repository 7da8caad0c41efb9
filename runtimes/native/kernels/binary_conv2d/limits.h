// Sizes that the operator refuses (docs/ops/BinaryConv2d.md, Errors). rbnn_deploy/operators/limits.py has the first
// four in Python, and a test compares them.

#pragma once

#include <cstdint>
#include <limits>

namespace rbnn {

// Sizes and attributes above this are no real layer, and below it no sum or product of two of them overflows int64.
constexpr std::int64_t kLargestSize = std::numeric_limits<std::int32_t>::max();

// KH * KW * C / groups is below it, so that float32 holds every sum exactly.
constexpr std::int64_t kSumLimit = std::int64_t{1} << 24;

// Tables hold some bytes for each output pixel, and a few bytes of `pads` must not ask for gigabytes: an output map may
// have so many pixels, or so many times those of the input map.
constexpr std::int64_t kMapPixels = std::int64_t{1} << 22;
constexpr std::int64_t kMapGrowth = 4;

// Packing weights adds gaps and tables. Real layers grow little, or are small; a file must not get gigabytes out of the
// few megabytes of a W that is nearly all gaps (one bit a kernel row, or one channel a group).
constexpr std::int64_t kPackedBytes = std::int64_t{64} << 20;
constexpr std::int64_t kPackedGrowth = 16;

}  // namespace rbnn
