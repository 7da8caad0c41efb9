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

// A window that is one run: appends one kernel row after the other, in order.
class RunWriter {
 public:
  explicit RunWriter(Word* run) : next_(run) {}

  // Appends `count` bits that start at bit `position`. May read one word behind the last one that holds a bit of it.
  void append(const Word* bits, std::size_t position, std::size_t count) {
    const Word* from = bits + position / kWordBits;
    const std::size_t shift = position % kWordBits;
    for (std::size_t left = count; left != 0; ++from) {
      const std::size_t step = std::min(left, kWordBits);
      const std::uint64_t pair = from[0] | std::uint64_t{from[1]} << kWordBits;
      pending_ |= ((pair >> shift) & (~std::uint64_t{0} >> (64 - step))) << filled_;
      filled_ += step;
      left -= step;
      if (filled_ >= kWordBits) flush();
    }
  }

  // Fills up to `end`.
  void finish(const Word* end) {
    while (next_ != end) flush();
  }

 private:
  void flush() {
    *next_++ = static_cast<Word>(pending_);
    pending_ >>= kWordBits;
    filled_ -= std::min(filled_, kWordBits);
  }

  Word* next_;
  std::uint64_t pending_ = 0;
  std::size_t filled_ = 0;
};

}  // namespace

void gather_windows(const ConvKernel& kernel, const Attributes& attributes, const Filter& filter, const Plan& plan,
                    const Band& band, std::size_t row, const Word* bits, Word* windows) noexcept {
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

  const auto row_bits = [&](std::int64_t tap_row) {  // with the zeros in front
    return bits + static_cast<std::size_t>(origin + tap_row * vertical.dilation) * plan.bit_row_words;
  };
  const auto gather_columns = [&](std::size_t group, std::size_t begin, std::size_t end) {
    Word* window = windows + group * plan.group_words + (begin - band.column_begin) * plan.stored_words;
    for (std::size_t column = begin; column < end; ++column, window += plan.stored_words) {
      std::fill_n(window, plan.stored_words, Word{0});
      for (std::int64_t tap_row = stored.begin; tap_row < stored.end; ++tap_row) {
        const auto tap = static_cast<std::size_t>(tap_row);
        gather_taps(attributes, horizontal, plan.column_taps[column], static_cast<std::int64_t>(column), group,
                    row_bits(tap_row) + plan.bit_lead_words, window + tap / layout.rows * layout.run_words,
                    tap % layout.rows * layout.row_bits);
      }
      if (layout.triples) to_triples(window, plan.stored_words);
    }
  };

  if (stored.begin == stored.end) {  // a row of padding
    std::fill_n(windows, static_cast<std::size_t>(attributes.groups) * plan.group_words, Word{0});
    return;
  }

  // The band's columns whose runs can be copied as they are.
  const std::size_t whole_begin = std::clamp(plan.whole_begin, band.column_begin, band.column_end);
  const std::size_t whole_end = std::clamp(plan.whole_end, band.column_begin, band.column_end);
  const auto channels = static_cast<std::size_t>(attributes.channels);
  const bool neighbours = attributes.groups == 1 && horizontal.dilation == 1;
  const bool all_rows = stored.end - stored.begin == (plan.shared_rows ? 1 : vertical.taps);
  const auto position = [&](std::size_t column) {
    return plan.bit_lead_words * kWordBits +
           static_cast<std::size_t>(horizontal.origin(static_cast<std::int64_t>(column)) * attributes.channels);
  };
  if (!neighbours || !all_rows || whole_begin == whole_end) {
    for (std::size_t group = 0; group < static_cast<std::size_t>(attributes.groups); ++group) {
      gather_columns(group, band.column_begin, band.column_end);
    }
    return;
  }
  gather_columns(0, band.column_begin, whole_begin);
  if (layout.rows != 1) {
    for (std::size_t column = whole_begin; column < whole_end; ++column) {
      Word* const window = windows + (column - band.column_begin) * plan.stored_words;
      RunWriter writer(window);
      for (std::int64_t tap_row = stored.begin; tap_row < stored.end; ++tap_row) {
        writer.append(row_bits(tap_row), position(column), layout.row_bits);
      }
      writer.finish(window + plan.stored_words);
      if (layout.triples) to_triples(window, plan.stored_words);
    }
    gather_columns(0, whole_end, band.column_end);
    return;
  }
  for (std::int64_t tap_row = stored.begin; tap_row < stored.end; ++tap_row) {
    kernel.gather_runs({row_bits(tap_row), position(whole_begin),
                        static_cast<std::size_t>(horizontal.stride) * channels, whole_end - whole_begin,
                        layout.row_bits, layout.run_words, layout.triples,
                        windows + (whole_begin - band.column_begin) * plan.stored_words +
                            static_cast<std::size_t>(tap_row) * layout.run_words,
                        plan.stored_words});
  }
  gather_columns(0, whole_end, band.column_end);
}

void gather_runs_portable(const Runs& r) {
  const std::size_t words = words_for_bits(r.run_bits), rest = r.run_bits % kWordBits;
  const Word last_mask = rest == 0 ? ~Word{0} : (Word{1} << rest) - 1;
  for (std::size_t i = 0; i < r.count; ++i) {
    const std::size_t position = r.position + i * r.step, shift = position % kWordBits;
    const Word* from = r.bits + position / kWordBits;
    Word* const run = r.output + i * r.output_stride;
    const auto next = [&] {
      const std::uint64_t pair = from[0] | std::uint64_t{from[1]} << kWordBits;
      ++from;
      return static_cast<Word>(pair >> shift);
    };
    for (std::size_t k = 0; k < words; ++k) run[k] = next();
    run[words - 1] &= last_mask;
    for (std::size_t k = words; k < r.run_words; ++k) run[k] = 0;
    if (r.triples) to_triples(run, r.run_words);
  }
}

}  // namespace rbnn
