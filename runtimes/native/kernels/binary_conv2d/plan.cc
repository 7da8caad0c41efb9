#include "kernels/binary_conv2d/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

#include "kernels/checked.h"

namespace rbnn {
namespace {

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Numbers the distinct ranges of taps along one axis: an image has few kinds of border, however many pixels.
std::vector<std::uint32_t> number(const std::vector<Axis::Taps>& taps, std::vector<Axis::Taps>& distinct) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::uint32_t> numbers;
  std::vector<std::uint32_t> result;
  for (const Axis::Taps& range : taps) {
    const auto [entry, added] =
        numbers.emplace(std::make_pair(range.begin, range.end), static_cast<std::uint32_t>(distinct.size()));
    if (added) distinct.push_back(range);
    result.push_back(entry->second);
  }
  return result;
}

std::vector<Axis::Taps> all_taps(const Axis& axis, std::int64_t input, std::int64_t output) {
  std::vector<Axis::Taps> taps;
  for (std::int64_t position = 0; position < output; ++position) taps.push_back(axis.inside(position, input));
  return taps;
}

}  // namespace

Plan::Plan(const Attributes& attributes, const Filter& filter, std::int64_t input_height, std::int64_t input_width,
           std::size_t window_budget)
    : height(input_height), width(input_width) {
  const Axis vertical = vertical_axis(attributes, filter.shape());
  const Axis horizontal = horizontal_axis(attributes, filter.shape());
  const WindowLayout& layout = filter.layout();
  const auto output = output_size(attributes, filter.shape(), height, width);
  output_height = output[0];
  output_width = output[1];
  checked_product({output_height, output_width, filter.shape().outputs, sizeof(float)});

  choose_bands(vertical, layout, attributes.groups, static_cast<std::int64_t>(window_budget));
  row_taps = all_taps(vertical, height, output_height);
  column_taps = all_taps(horizontal, width, output_width);
  choose_bit_rows(attributes, horizontal);
  rows_hold_windows = can_hold_windows(attributes, horizontal, layout, window_budget);
  if (rows_hold_windows) {
    stored_words = static_cast<std::size_t>(horizontal.stride * attributes.channels) / kWordBits;
    row_words = bit_row_words;
    band_words = words_of_rows(row_words);
  }
  run_stride = shared_rows ? static_cast<std::size_t>(vertical.dilation) * row_words : layout.run_words;
  add_borders(filter, attributes);
  add_starts(filter);
  std::size_t index = 0;
  for (std::size_t p = 0; p < row_taps.size(); ++p) {
    for (std::size_t q = 0; q < column_taps.size(); ++q) {
      pixels[index++].input =
          static_cast<std::uint32_t>(p % band_rows * row_step_ * row_words + q % band_columns * stored_words);
    }
  }
}

void Plan::choose_bit_rows(const Attributes& attributes, const Axis& horizontal) {
  const auto bits = static_cast<std::size_t>(checked_product({width, attributes.channels}));
  const std::int64_t right = std::max<std::int64_t>(horizontal.origin(output_width - 1) + horizontal.taps - width, 0);
  if (attributes.groups == 1 && horizontal.dilation == 1 && horizontal.pad_before + right <= width) {
    const auto channels = static_cast<std::size_t>(attributes.channels);
    bit_lead_words = words_for_bits(static_cast<std::size_t>(horizontal.pad_before) * channels);
    bit_row_words = bit_lead_words + words_for_bits(bits + static_cast<std::size_t>(right) * channels) + 1;
    whole_begin = 0;
    whole_end = column_taps.size();
    return;
  }
  bit_lead_words = 0;
  bit_row_words = words_for_bits(bits) + 1;
  const auto whole = [&](const Axis::Taps& taps) { return taps.end - taps.begin == horizontal.taps; };
  const auto first = std::find_if(column_taps.begin(), column_taps.end(), whole);
  whole_begin = static_cast<std::size_t>(first - column_taps.begin());
  whole_end = static_cast<std::size_t>(std::find_if_not(first, column_taps.end(), whole) - column_taps.begin());
}

void Plan::choose_bands(const Axis& vertical, const WindowLayout& layout, std::int64_t groups, std::int64_t budget) {
  const std::int64_t span = (vertical.taps - 1) * vertical.dilation + 1;  // padded rows under one output row
  const auto span_of = [&](std::int64_t rows) { return (rows - 1) * vertical.stride + span; };
  const auto shared_is_smaller = [&](std::int64_t rows) {
    return layout.rows == 1 && span_of(rows) <= checked_product({rows, vertical.taps});
  };
  const auto fitting = [&](std::size_t words, std::int64_t columns) {
    return budget / checked_product({groups, columns, static_cast<std::int64_t>(words), sizeof(Word)});
  };
  std::int64_t rows = output_height, columns = output_width;
  shared_rows = shared_is_smaller(rows);
  if (shared_rows) {
    const std::int64_t padded_rows = fitting(layout.run_words, columns);
    // Rows that two bands need are gathered for both.
    if (padded_rows < span_of(rows)) rows = padded_rows < span ? 0 : (padded_rows - span) / vertical.stride + 1;
    shared_rows = rows != 0 && shared_is_smaller(rows);
  }
  if (!shared_rows) {
    rows = std::min(output_height, fitting(layout.words(), columns));
    if (rows == 0) {
      rows = 1;
      columns = std::clamp(fitting(layout.words(), 1), std::int64_t{1}, output_width);
    }
  }
  band_rows = static_cast<std::size_t>(rows);
  band_columns = static_cast<std::size_t>(columns);
  bands = divide_up(static_cast<std::size_t>(output_height), band_rows) *
          divide_up(static_cast<std::size_t>(output_width), band_columns);
  row_step_ = shared_rows ? static_cast<std::size_t>(vertical.stride) : 1;
  row_span_ = shared_rows ? static_cast<std::size_t>(span) : 1;
  stored_words = shared_rows ? layout.run_words : layout.words();
  group_words = band_columns * stored_words;
  row_words = static_cast<std::size_t>(groups) * group_words;
  band_words = words_of_rows(row_words);
  if (band_words > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("the windows of one pixel take more than 2^32 words");
  }
}

std::size_t Plan::words_of_rows(std::size_t words) const { return ((band_rows - 1) * row_step_ + row_span_) * words; }

bool Plan::can_hold_windows(const Attributes& attributes, const Axis& horizontal, const WindowLayout& layout,
                            std::size_t window_budget) const {
  const bool neighbours = attributes.groups == 1 && horizontal.dilation == 1;
  const bool whole_words = static_cast<std::size_t>(attributes.channels) % kWordBits == 0 && !layout.triples;
  const bool with_zeros = whole_begin == 0 && whole_end == column_taps.size();
  // Where strides leave most of the map out, its windows are smaller than itself.
  const bool small = bit_row_words <= 2 * row_words + 1 && words_of_rows(bit_row_words) * sizeof(Word) <= window_budget;
  return packs_while_gathering() && neighbours && whole_words && with_zeros && small;
}

Band Plan::band(std::size_t index) const {
  const auto rows = static_cast<std::size_t>(output_height), columns = static_cast<std::size_t>(output_width);
  const std::size_t per_row = divide_up(columns, band_columns);
  const std::size_t row = index / per_row * band_rows, column = index % per_row * band_columns;
  return {row, std::min(row + band_rows, rows), column, std::min(column + band_columns, columns)};
}

Axis::Taps Plan::window_rows(const Band& band) const {
  const std::size_t begin = band.row_begin * row_step_, end = (band.row_end - 1) * row_step_ + row_span_;
  return {static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)};
}

std::size_t Plan::bytes() const {
  return sizeof(Plan) + pixels.size() * sizeof(Pixel) + runs_inside.size() * sizeof(RunRange) +
         (inside.size() + border_weights.size() + starts.size() + run_starts.size()) * sizeof(std::int32_t) +
         (row_taps.size() + column_taps.size() + row_kinds.size() + column_kinds.size()) * sizeof(Axis::Taps);
}

// A tap outside the image whose bits are 0 in the window counts as -1 where nothing corrects it: K - 2 popcount(w),
// over its K bits. One more popcount(w) and K less make it 0, and twice that +1 (kernel.h, 3).
void Plan::add_borders(const Filter& filter, const Attributes& attributes) {
  std::vector<Axis::Taps>&rows = row_kinds, &columns = column_kinds;
  const std::vector<std::uint32_t> row_numbers = number(row_taps, rows), column_numbers = number(column_taps, columns);
  for (const std::uint32_t row : row_numbers) {
    for (const std::uint32_t column : column_numbers) {
      pixels.push_back({0, row * static_cast<std::uint32_t>(columns.size()) + column});
    }
  }
  const auto outputs = static_cast<std::size_t>(filter.shape().outputs);
  const std::int64_t taps = filter.shape().height * filter.shape().width;
  const std::int64_t group_channels = attributes.channels / attributes.groups;
  const auto corrections = static_cast<std::int32_t>(attributes.pad_value + 1);
  border_weights.reserve(rows.size() * columns.size() * outputs);
  for (const Axis::Taps& row : rows) {
    for (const Axis::Taps& column : columns) {
      const std::int64_t outside = taps - (row.end - row.begin) * (column.end - column.begin);
      inside.push_back(static_cast<std::int32_t>((taps - corrections * outside) * group_channels));
      for (std::size_t o = 0; o < outputs; ++o) {
        border_weights.push_back(-corrections * filter.ones_outside(o, row, column));
      }
    }
  }
}

void Plan::add_starts(const Filter& filter) {
  const WindowLayout& layout = filter.layout();
  const auto multiple = filter.kernel().panel_multiple, outputs = static_cast<std::size_t>(filter.shape().outputs);
  const std::int32_t uncounted = filter.kernel().uncounted;
  if (uncounted < 0) return;
  const auto start = [&](std::size_t border, std::int32_t weights, std::size_t words) {
    return inside[border] - 2 * (weights + uncounted * static_cast<std::int32_t>(words / multiple));
  };
  starts.reserve(border_weights.size());
  for (std::size_t i = 0; i < border_weights.size(); ++i) {
    starts.push_back(start(i / outputs, border_weights[i], layout.panel_words));
  }
  const Axis::Taps all_rows{0, filter.shape().height}, all_columns{0, filter.shape().width};
  const auto lacks_runs = [&](const Axis::Taps& taps) {
    return taps.begin < taps.end && taps.end - taps.begin != all_rows.end;
  };
  const bool runs_are_rows = layout.rows == 1 && layout.run_words % multiple == 0;
  if (!runs_are_rows || std::none_of(row_kinds.begin(), row_kinds.end(), lacks_runs)) return;
  for (std::size_t border = 0; border < inside.size(); ++border) {
    const Axis::Taps taps = row_kinds[border / column_kinds.size()], rows = lacks_runs(taps) ? taps : all_rows;
    const auto begin = static_cast<std::size_t>(rows.begin), end = static_cast<std::size_t>(rows.end);
    runs_inside.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
    for (std::size_t o = 0; o < outputs; ++o) {
      // Bits outside the image are 0 in the window: a run that is left out would have counted its weights' ones.
      const std::int32_t weights = border_weights[border * outputs + o] + filter.ones_outside(o, rows, all_columns);
      run_starts.push_back(start(border, weights, (end - begin) * layout.run_words));
    }
  }
}

}  // namespace rbnn
