// The weights of one layer, re-packed once for one kernel.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/binary_conv2d/geometry.h"
#include "kernels/binary_conv2d/kernel.h"
#include "kernels/memory.h"

namespace rbnn {

// How the bits of one window (or of one output channel's weights) lie in words: `runs` runs, each of `rows` kernel
// rows, in each of which the taps follow one another without a gap and the channels of a tap likewise. A run starts at
// a word. One run per kernel row lets windows below each other share their rows. One run for the whole kernel leaves no
// gaps between the rows, which pays where a row is only a few bits and there are outputs enough to make up for the
// gathering of whole windows.
struct WindowLayout {
  std::size_t runs, rows;
  std::size_t row_bits;     // KW * C / groups
  std::size_t run_words;    // filled up with zero words to a multiple that the kernel wants
  std::size_t panel_words;  // of one output channel's weights: words(), filled up as its kernel wants it
  bool triples;

  std::size_t words() const { return runs * run_words; }
};

WindowLayout choose_layout(const ConvKernel& kernel, const FilterShape& shape, std::size_t group_channels,
                           std::size_t panels);

// a, b, c -> a, a ^ b, a ^ b ^ c; see kernel.h.
void to_triples(Word* words, std::size_t count);

class Filter {
 public:
  // `weights` is W of the specification; bits behind the last channel may be anything.
  Filter(const ConvKernel& kernel, const Attributes& attributes, const FilterShape& shape, const std::uint8_t* weights);

  const FilterShape& shape() const { return shape_; }
  const ConvKernel& kernel() const { return kernel_; }
  const WindowLayout& layout() const { return layout_; }
  std::size_t panels_per_group() const { return panels_per_group_; }
  const Word* group_panels(std::size_t group) const { return panels_.get() + group * group_words_; }

  // How many weights of output channel `o` are +1 in taps outside the given ranges.
  std::int32_t ones_outside(std::size_t o, Axis::Taps rows, Axis::Taps columns) const;

 private:
  void pack_channel(const std::uint8_t* weights, std::size_t o, std::size_t lanes, Word* panels);

  FilterShape shape_;
  std::size_t group_channels_, group_outputs_, panels_per_group_;
  WindowLayout layout_;
  const ConvKernel& kernel_;
  std::size_t group_words_;
  AlignedArray<Word> panels_;  // [group][panel][run][word][lane], or as the kernel arranges it
  // [o][KH + 1][KW + 1]: how many weights are +1 in taps above and left of (i, j), so that the ones in any rectangle
  // of taps are four look-ups away.
  std::vector<std::int32_t> ones_;
};

}  // namespace rbnn
