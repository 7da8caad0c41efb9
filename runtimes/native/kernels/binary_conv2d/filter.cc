#include "kernels/binary_conv2d/filter.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/binary_conv2d/limits.h"
#include "kernels/checked.h"

namespace rbnn {
namespace {

std::int32_t popcount(Word word) {
  std::int32_t count = 0;
  for (; word != 0; word &= word - 1) ++count;
  return count;
}

// The channels of one tap as words, with the bits behind the last channel cleared.
void read_tap(const std::uint8_t* bytes, std::size_t channels, Word* words) {
  std::fill_n(words, words_for_bits(channels), Word{0});
  for (std::size_t j = 0; j < bytes_for_bits(channels); ++j) words[j / 4] |= Word{bytes[j]} << (j % 4 * 8);
  if (channels % kWordBits != 0) words[channels / kWordBits] &= (Word{1} << channels % kWordBits) - 1;
}

}  // namespace

WindowLayout choose_layout(const ConvKernel& kernel, const FilterShape& shape, std::size_t group_channels,
                           std::size_t panels) {
  const auto rows = static_cast<std::size_t>(shape.height);
  WindowLayout layout{};
  layout.row_bits = static_cast<std::size_t>(shape.width) * group_channels;
  layout.triples = kernel.triples;
  const auto multiple = [](std::size_t words, std::size_t of) { return (words + of - 1) / of * of; };
  const auto words = [&](std::size_t bits) { return multiple(words_for_bits(bits), kernel.run_multiple); };
  const std::size_t by_row = multiple(rows * words(layout.row_bits), kernel.panel_multiple);
  const std::size_t whole = multiple(words(rows * layout.row_bits), kernel.panel_multiple);
  // Measured: gathering a word of a whole window costs about as much as four vectors of xor, popcount and add.
  const bool one_run = (by_row - whole) * panels > 4 * rows * words_for_bits(layout.row_bits);
  layout.runs = one_run ? 1 : rows;
  layout.rows = one_run ? rows : 1;
  layout.run_words = words(layout.rows * layout.row_bits);
  layout.panel_words = one_run ? whole : by_row;
  return layout;
}

void to_triples(Word* words, std::size_t count) {
  for (std::size_t k = 0; k < count; k += 3) {
    words[k + 1] ^= words[k];
    words[k + 2] ^= words[k + 1];
  }
}

static void check_packed_size(std::int64_t packed, std::int64_t stored) {
  if (packed > std::max(kPackedBytes, checked_product({kPackedGrowth, stored}))) {
    throw std::invalid_argument("a W of " + std::to_string(stored) + " bytes would take " + std::to_string(packed) +
                                " bytes in memory; make fewer groups or kernel rows");
  }
}

Filter::Filter(const ConvKernel& kernel, const Attributes& attributes, const FilterShape& shape,
               const std::uint8_t* weights)
    : shape_(shape),
      group_channels_(static_cast<std::size_t>(attributes.channels / attributes.groups)),
      group_outputs_(static_cast<std::size_t>(shape.outputs / attributes.groups)),
      panels_per_group_((group_outputs_ + kernel.lanes - 1) / kernel.lanes),
      layout_(choose_layout(kernel, shape, group_channels_, panels_per_group_)),
      kernel_(kernel),
      group_words_(panels_per_group_ * layout_.panel_words * kernel.lanes * kernel.expansion) {
  const auto words = checked_product(
      {attributes.groups, static_cast<std::int64_t>(panels_per_group_), static_cast<std::int64_t>(layout_.panel_words),
       static_cast<std::int64_t>(kernel.lanes), static_cast<std::int64_t>(kernel.expansion)});
  const auto taps = checked_product({shape.outputs, shape.height + 1, shape.width + 1});
  check_packed_size(checked_product({words, sizeof(Word)}) + checked_product({taps, sizeof(std::int32_t)}),
                    checked_product({shape.outputs, shape.height, shape.width,
                                     static_cast<std::int64_t>(bytes_for_bits(group_channels_))}));
  const std::size_t packed = static_cast<std::size_t>(words) / kernel.expansion;
  AlignedArray<Word> panels = make_aligned_array<Word>(packed);
  std::fill_n(panels.get(), packed, Word{0});
  ones_.assign(static_cast<std::size_t>(taps), 0);
  for (std::size_t o = 0; o < static_cast<std::size_t>(shape.outputs); ++o) {
    pack_channel(weights, o, kernel.lanes, panels.get());
  }
  if (kernel.arrange == nullptr) {
    panels_ = std::move(panels);
    return;
  }
  const std::size_t readable = kernel.panel_multiple * kernel.lanes;
  panels_ = make_aligned_array<Word>(static_cast<std::size_t>(words) + readable);
  std::fill_n(panels_.get() + words, readable, Word{0});
  kernel.arrange(panels.get(), packed / kernel.lanes, panels_.get());
}

void Filter::pack_channel(const std::uint8_t* weights, std::size_t o, std::size_t lanes, Word* panels) {
  const std::size_t channels = group_channels_, tap_bytes = bytes_for_bits(channels);
  const auto height = static_cast<std::size_t>(shape_.height), width = static_cast<std::size_t>(shape_.width);
  const std::size_t group = o / group_outputs_, in_group = o % group_outputs_;
  Word* const column =
      panels + (group * panels_per_group_ + in_group / lanes) * layout_.panel_words * lanes + in_group % lanes;
  std::int32_t* const ones = ones_.data() + o * (height + 1) * (width + 1);
  const std::uint8_t* tap = weights + o * height * width * tap_bytes;
  std::vector<Word> words(layout_.words()), tap_words(words_for_bits(channels));

  for (std::size_t i = 0; i < height; ++i) {
    Word* const run = words.data() + i / layout_.rows * layout_.run_words;
    for (std::size_t j = 0; j < width; ++j, tap += tap_bytes) {
      read_tap(tap, channels, tap_words.data());
      copy_bits(run, i % layout_.rows * layout_.row_bits + j * channels, tap_words.data(), 0, channels);
      std::int32_t here = 0;
      for (const Word word : tap_words) here += popcount(word);
      std::int32_t* const corner = ones + (i + 1) * (width + 1) + j + 1;
      const std::int32_t *const left = corner - 1, *const above = corner - (width + 1);
      *corner = here + *left + *above - *(above - 1);
    }
  }
  if (layout_.triples) to_triples(words.data(), words.size());
  for (std::size_t k = 0; k < words.size(); ++k) column[k * lanes] = words[k];
}

std::int32_t Filter::ones_outside(std::size_t o, Axis::Taps rows, Axis::Taps columns) const {
  const std::int64_t stride = shape_.width + 1;
  const std::int32_t* const ones = ones_.data() + static_cast<std::int64_t>(o) * (shape_.height + 1) * stride;
  const auto at = [&](std::int64_t i, std::int64_t j) { return ones[i * stride + j]; };
  const std::int32_t inside = at(rows.end, columns.end) - at(rows.begin, columns.end) - at(rows.end, columns.begin) +
                              at(rows.begin, columns.begin);
  return at(shape_.height, shape_.width) - inside;
}

}  // namespace rbnn
