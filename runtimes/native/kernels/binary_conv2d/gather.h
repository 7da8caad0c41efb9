// From the signs of an input row to the windows that `multiply` reads.

#pragma once

#include "kernels/binary_conv2d/filter.h"
#include "kernels/binary_conv2d/geometry.h"
#include "kernels/binary_conv2d/plan.h"

namespace rbnn {

// Writes row `row` (of plan.window_rows) of one band's windows.
//
// bits: the sample's signs, [H][plan.bit_row_words]; with plan.shared_rows only the one row of them that `row` stands
// for is read. windows: [plan.row_words], of which the band's columns are written.
void gather_windows(const ConvKernel& kernel, const Attributes& attributes, const Filter& filter, const Plan& plan,
                    const Band& band, std::size_t row, const Word* bits, Word* windows) noexcept;

}  // namespace rbnn
