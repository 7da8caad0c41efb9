// Everything about one layer that depends on the size of its input map, computed once per size.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/binary_conv2d/filter.h"
#include "kernels/binary_conv2d/geometry.h"

namespace rbnn {

// How many bytes the windows of a sample may take before they are gathered in bands. Layers of ordinary networks take
// less, in one band; a file of a few kilobytes may describe windows of gigabytes.
constexpr std::size_t kWindowBudget = std::size_t{1} << 24;

// The output pixels whose windows are in memory at a time: whole rows, or a part of one row.
struct Band {
  std::size_t row_begin, row_end, column_begin, column_end;

  std::size_t pixels() const { return (row_end - row_begin) * (column_end - column_begin); }
};

struct Plan {
  // Throws std::invalid_argument where the sizes do not fit each other or this machine.
  Plan(const Attributes& attributes, const Filter& filter, std::int64_t input_height, std::int64_t input_width,
       std::size_t window_budget = kWindowBudget);

  std::int64_t height, width;  // of the input
  std::int64_t output_height, output_width;

  // The signs of one input row [W, C] are dense. Zeros stand in front of them, bit_lead_words words, and behind them,
  // for the padding if it is no larger than the row and taps are neighbours, and one word that gathering may read.
  std::size_t bit_lead_words, bit_row_words;

  // Where each row of signs, with its zeros, has all windows of it as they are, such rows are the rows of windows.
  bool rows_hold_windows;

  // Else the windows of a band are stored as [row][group][column][run_count][run_words]. With `shared_rows` a row is a
  // row of the padded input, one run of each window is stored in each, and windows below each other share them: their
  // runs are `dilation` rows apart. Else a row is an output row and each window is stored whole. Whichever is smaller.
  bool shared_rows;
  std::size_t band_rows, band_columns;  // output rows and columns of a band; the last one may have fewer
  std::size_t bands;
  std::size_t stored_words;  // from one window to the next in one row
  std::size_t group_words, row_words, band_words;
  std::size_t run_stride;

  Band band(std::size_t index) const;
  // The rows of windows that a band stores, as input rows of the padded image or as output rows.
  Axis::Taps window_rows(const Band& band) const;
  // Whether a row of windows needs one input row, which no other one needs: one pass does both then.
  bool packs_while_gathering() const { return shared_rows && bands == 1; }
  // What this plan takes itself.
  std::size_t bytes() const;

  std::vector<Pixel> pixels;                 // [OH * OW]; an input is counted from the start of the pixel's band
  std::vector<std::int32_t> inside;          // [border]
  std::vector<std::int32_t> border_weights;  // [border][O]
  // See kernel.h; empty where the kernel reads none of them, the last two also where no window lacks a run.
  std::vector<std::int32_t> starts, run_starts;   // [border][O]
  std::vector<RunRange> runs_inside;              // [border]
  std::vector<Axis::Taps> row_taps, column_taps;  // [OH], [OW]
  // The distinct ones of these; borders are numbered row kind by row kind, column kind by column kind.
  std::vector<Axis::Taps> row_kinds, column_kinds;
  std::size_t whole_begin, whole_end;  // the output columns all of whose taps are in a row of signs with its zeros

 private:
  void choose_bit_rows(const Attributes& attributes, const Axis& horizontal);
  bool can_hold_windows(const Attributes& attributes, const Axis& horizontal, const WindowLayout& layout,
                        std::size_t window_budget) const;
  std::size_t words_of_rows(std::size_t words) const;  // of a band, from those of one row of windows
  void choose_bands(const Axis& vertical, const WindowLayout& layout, std::int64_t groups, std::int64_t budget);
  void add_borders(const Filter& filter, const Attributes& attributes);
  void add_starts(const Filter& filter);

  std::size_t row_step_, row_span_;  // rows of windows from one output row to the next, and under one of them
};

}  // namespace rbnn
