#include "kernels/binary_conv2d/gather.h"

#include <algorithm>
#include <cstdint>

namespace rbnn {
namespace {

// Copies the taps of one kernel row that are inside the image into a run that is 0 so far.
void gather_taps(const Attributes& a, const Axis& axis, Axis::Taps taps, std::int64_t column, std::size_t group,
                 const Word* row_bits, Word* run, std::size_t position) {
  const auto channels = static_cast<std::size_t>(a.channels);
  const auto group_channels = static_cast<std::size_t>(a.channels / a.groups);
  const std::int64_t origin = axis.origin(column);
  const auto from = [&](std::int64_t tap) {
    return static_cast<std::size_t>(origin + tap * axis.dilation) * channels + group * group_channels;
  };
  const auto to = [&](std::int64_t tap) { return position + static_cast<std::size_t>(tap) * group_channels; };
  if (a.groups == 1 && axis.dilation == 1) {  // neighbouring taps are neighbours in the input as well
    const auto count = static_cast<std::size_t>(taps.end - taps.begin) * channels;
    if (count != 0) copy_bits(run, to(taps.begin), row_bits, from(taps.begin), count);
    return;
  }
  for (std::int64_t tap = taps.begin; tap < taps.end; ++tap) {
    copy_bits(run, to(tap), row_bits, from(tap), group_channels);
  }
}

// A whole run whose bits are neighbours in the input as well, and inside the image: most windows of most layers.
// May read one word behind the last one that holds a bit of it, and drops it.
inline void gather_run(const WindowLayout& layout, const Word* bits, std::size_t position, Word* run) {
  const Word* from = bits + position / kWordBits;
  const std::size_t shift = position % kWordBits;
  const auto next = [&] {
    const std::uint64_t pair = from[0] | std::uint64_t{from[1]} << kWordBits;
    ++from;
    return static_cast<Word>(pair >> shift);
  };
  const std::size_t rest = layout.row_bits % kWordBits;
  const Word last_mask = rest == 0 ? ~Word{0} : (Word{1} << rest) - 1;
  for (std::size_t t = 0; t < layout.triples; ++t, run += 3) {
    const Word a = next(), ab = a ^ next();
    const Word c = next();
    const bool last = layout.singles == 0 && t + 1 == layout.triples;
    run[0] = a;
    run[1] = ab;
    run[2] = ab ^ (last ? c & last_mask : c);
  }
  for (std::size_t k = 0; k < layout.singles; ++k) {
    const Word word = next();
    *run++ = k + 1 == layout.singles ? word & last_mask : word;
  }
}

}  // namespace

void gather_windows(const Attributes& attributes, const Filter& filter, const Plan& plan, std::size_t row,
                    const Word* bits, Word* windows) noexcept {
  const WindowLayout& layout = filter.layout();
  const Axis vertical = vertical_axis(attributes, filter.shape());
  const Axis horizontal = horizontal_axis(attributes, filter.shape());

  // Which kernel rows of each window this row stores, and where tap row 0 of it falls.
  Axis::Taps stored{0, 1};
  std::int64_t origin = static_cast<std::int64_t>(row) - vertical.pad_before;
  if (plan.shared_rows) {
    if (origin < 0 || origin >= plan.height) stored = {0, 0};
  } else {
    stored = plan.row_taps[row];
    origin = vertical.origin(static_cast<std::int64_t>(row));
  }
  const bool neighbours = layout.rows == 1 && attributes.groups == 1 && horizontal.dilation == 1;
  const auto channels = static_cast<std::size_t>(attributes.channels);
  for (std::size_t group = 0; group < static_cast<std::size_t>(attributes.groups); ++group) {
    Word* window = windows + group * plan.group_words;
    for (std::int64_t column = 0; column < plan.output_width; ++column, window += plan.stored_words) {
      const Axis::Taps taps = plan.column_taps[static_cast<std::size_t>(column)];
      const bool whole = neighbours && taps.end - taps.begin == horizontal.taps;
      if (!whole || stored.end - stored.begin != plan.stored_rows) std::fill_n(window, plan.stored_words, Word{0});
      for (std::int64_t tap_row = stored.begin; tap_row < stored.end; ++tap_row) {
        const auto tap = static_cast<std::size_t>(tap_row);
        const auto image_row = static_cast<std::size_t>(origin + tap_row * vertical.dilation);
        const Word* const row_bits = bits + image_row * plan.bit_row_words;
        Word* const run = window + tap / layout.rows * layout.run_words;
        if (whole) {
          gather_run(layout, row_bits, static_cast<std::size_t>(horizontal.origin(column)) * channels, run);
        } else {
          gather_taps(attributes, horizontal, taps, column, group, row_bits, run, tap % layout.rows * layout.row_bits);
        }
      }
      if (whole) continue;
      for (std::size_t run = 0; run * layout.run_words < plan.stored_words; ++run) {
        to_triples(window + run * layout.run_words, layout.triples);
      }
    }
  }
}

}  // namespace rbnn
