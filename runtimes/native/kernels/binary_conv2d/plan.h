// Everything about one layer that depends on the size of its input map, computed once per size.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/binary_conv2d/filter.h"
#include "kernels/binary_conv2d/geometry.h"

namespace rbnn {

struct Plan {
  // Throws std::invalid_argument where the sizes do not fit each other or this machine.
  Plan(const Attributes& attributes, const Filter& filter, std::int64_t input_height, std::int64_t input_width);

  std::int64_t height, width;  // of the input
  std::int64_t output_height, output_width;

  std::size_t bit_row_words;  // the signs of one input row [W, C], dense, and one word that gathering may read

  // The windows of one sample are stored as [row][group][OW][run_count][run_words]. With `shared_rows` a row is a row
  // of the padded input, one run of each window is stored in each, and windows below each other share them: their runs
  // are `dilation` rows apart. Else a row is an output row and each window is stored whole. Whichever is smaller.
  bool shared_rows;
  std::size_t window_rows, stored_words;  // stored_words: of one window in one row
  std::size_t group_words, row_words, sample_words;
  std::size_t run_stride;

  std::vector<Pixel> pixels;                 // [OH * OW]
  std::vector<std::int32_t> inside;          // [border]
  std::vector<std::int32_t> border_weights;  // [border][O]
  std::vector<Axis::Taps> row_taps, column_taps;  // [OH], [OW]
  std::size_t whole_begin, whole_end;             // the output columns all of whose taps are inside

 private:
  void add_borders(const Filter& filter, std::int64_t group_channels);
};

}  // namespace rbnn
