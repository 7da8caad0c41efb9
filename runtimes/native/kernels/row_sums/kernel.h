// Row sums: of each row of a float32 matrix, in float64, in one fixed order (docs/ops/BinaryConv2d.md, threshold), so
// that the result depends on neither instruction set nor threads:
//
//   lane[l] = x[l] + x[l + 16] + x[l + 32] + ..., from left to right, for l < 16
//   lane[l] += lane[l + half], for half = 8, 4, 2, 1 and l < half;  the sum is lane[0]
//
// A file per instruction set defines one function. It includes nothing but this header, other kernel.h and intrinsics,
// and keeps everything else in an anonymous namespace: it is compiled with flags that the rest of the library is not.

#pragma once

#include <cstddef>

namespace rbnn {

// sums[r] = the sum of row r of x [rows, length].
using RowSums = void (*)(const float* x, std::size_t rows, std::size_t length, double* sums);

#define RBNN_KERNEL(isa) void row_sums_##isa(const float* x, std::size_t rows, std::size_t length, double* sums);
#include "kernels/row_sums/kernels.inc"

}  // namespace rbnn
