// Numbers of QuantConv2d's contract (docs/ops/QuantConv2d.md). What it refuses besides is BinaryConv2d's.

#pragma once

#include <cstdint>

namespace rbnn {

constexpr std::int64_t kLargestActivation = 255;               // of -low, of high, and of high - low
constexpr std::int64_t kLargestWeight = 128;                   // the magnitude of an int8
constexpr std::int64_t kIntegerLimit = std::int64_t{1} << 31;  // magnitudes of sums are below it

}  // namespace rbnn
