#include "kernels/binary_conv2d/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

#include "kernels/checked.h"

namespace rbnn {
namespace {

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

Plan::Plan(const Attributes& attributes, const Filter& filter, std::int64_t input_height, std::int64_t input_width)
    : height(input_height), width(input_width) {
  const Axis vertical = vertical_axis(attributes, filter.shape());
  const Axis horizontal = horizontal_axis(attributes, filter.shape());
  const WindowLayout& layout = filter.layout();
  const auto output = output_size(attributes, filter.shape(), height, width);
  output_height = output[0];
  output_width = output[1];
  checked_product({output_height, output_width, filter.shape().outputs, sizeof(float)});
  bit_row_words = words_for_bits(static_cast<std::size_t>(checked_product({width, attributes.channels}))) + 1;

  const std::int64_t padded_rows = vertical.origin(output_height - 1) - vertical.origin(0) +
                                   (vertical.taps - 1) * vertical.dilation + 1;
  shared_rows = layout.rows == 1 && padded_rows <= checked_product({output_height, vertical.taps});
  const std::int64_t rows = shared_rows ? padded_rows : output_height;
  const std::int64_t stored = static_cast<std::int64_t>(shared_rows ? layout.run_words : layout.words());
  const std::int64_t words = checked_product({rows, attributes.groups, output_width, stored});
  if (words > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("the map of " + std::to_string(height) + " x " + std::to_string(width) +
                                " is too large: its windows take more than 2^32 words");
  }
  window_rows = static_cast<std::size_t>(rows);
  stored_words = static_cast<std::size_t>(stored);
  group_words = static_cast<std::size_t>(output_width) * stored_words;
  row_words = static_cast<std::size_t>(attributes.groups) * group_words;
  sample_words = static_cast<std::size_t>(words);
  run_stride = shared_rows ? static_cast<std::size_t>(vertical.dilation) * row_words : layout.run_words;

  row_taps = all_taps(vertical, height, output_height);
  column_taps = all_taps(horizontal, width, output_width);
  const auto whole = [&](const Axis::Taps& taps) { return taps.end - taps.begin == horizontal.taps; };
  const auto first = std::find_if(column_taps.begin(), column_taps.end(), whole);
  whole_begin = static_cast<std::size_t>(first - column_taps.begin());
  whole_end = static_cast<std::size_t>(std::find_if_not(first, column_taps.end(), whole) - column_taps.begin());
  add_borders(filter, attributes.channels / attributes.groups);
  const std::size_t row_step = shared_rows ? static_cast<std::size_t>(vertical.stride) * row_words : row_words;
  std::size_t index = 0;
  for (std::size_t p = 0; p < row_taps.size(); ++p) {
    for (std::size_t q = 0; q < column_taps.size(); ++q) {
      pixels[index++].input = static_cast<std::uint32_t>(p * row_step + q * stored_words);
    }
  }
}

void Plan::add_borders(const Filter& filter, std::int64_t group_channels) {
  std::vector<Axis::Taps> rows, columns;
  const std::vector<std::uint32_t> row_numbers = number(row_taps, rows), column_numbers = number(column_taps, columns);
  for (const std::uint32_t row : row_numbers) {
    for (const std::uint32_t column : column_numbers) {
      pixels.push_back({0, row * static_cast<std::uint32_t>(columns.size()) + column});
    }
  }
  const auto outputs = static_cast<std::size_t>(filter.shape().outputs);
  border_weights.reserve(rows.size() * columns.size() * outputs);
  for (const Axis::Taps& row : rows) {
    for (const Axis::Taps& column : columns) {
      inside.push_back(
          static_cast<std::int32_t>((row.end - row.begin) * (column.end - column.begin) * group_channels));
      for (std::size_t o = 0; o < outputs; ++o) border_weights.push_back(-filter.ones_outside(o, row, column));
    }
  }
}

}  // namespace rbnn
