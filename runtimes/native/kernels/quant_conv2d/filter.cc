#include "kernels/quant_conv2d/filter.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/binary_conv2d/limits.h"
#include "kernels/checked.h"
#include "kernels/tasks.h"

namespace rbnn {
namespace {

// Stored rows hold so many pixels of padding on each side at most; beyond, windows are gathered. A file's few bytes of
// `pads` must not ask for gigabytes.
constexpr std::int64_t kMostPadding = 64;

bool must_gather(const Attributes& a, const FilterShape& shape) {
  if (a.groups != 1) return true;
  if (shape.width == 1) return false;  // only the columns that are read are stored
  return a.dilations[1] != 1 || a.pads[1] > kMostPadding || a.pads[3] > kMostPadding;
}

FilterShape validated(const FilterShape& shape, const QuantAttributes& attributes) {
  validate(attributes);
  validate(shape, attributes);
  return shape;
}

void check_packed_size(std::int64_t packed, std::int64_t stored) {
  if (packed > std::max(kPackedBytes, checked_product({kPackedGrowth, stored}))) {
    throw std::invalid_argument("a W of " + std::to_string(stored) + " bytes would take " + std::to_string(packed) +
                                " bytes in memory; make fewer groups or kernel rows");
  }
}

}  // namespace

QuantFilter::QuantFilter(const QuantKernel& kernel, const QuantAttributes& attributes, const FilterShape& shape,
                         const std::int8_t* weights)
    : shape_(validated(shape, attributes)),
      group_channels_(static_cast<std::size_t>(attributes.conv.channels / attributes.conv.groups)),
      group_outputs_(static_cast<std::size_t>(shape.outputs / attributes.conv.groups)),
      panels_per_group_(divide_up(group_outputs_, kernel.lanes)),
      gathered_(must_gather(attributes.conv, shape)),
      runs_(gathered_ ? 1 : static_cast<std::size_t>(shape.height)),
      run_elements_(static_cast<std::size_t>(shape.height * shape.width) / runs_ * group_channels_),
      run_words_(divide_up(run_elements_, kernel.per_word)),
      panel_bytes_(runs_ * run_words_ * kernel.lanes * kernel.per_word * bytes_of(kernel.storage)) {
  const auto panels = static_cast<std::int64_t>(panels_per_group_);
  const std::int64_t bytes = checked_product({attributes.conv.groups, panels, static_cast<std::int64_t>(panel_bytes_)});
  const std::int64_t lanes = checked_product({attributes.conv.groups, panels, static_cast<std::int64_t>(kernel.lanes)});
  check_packed_size(
      bytes + checked_product({lanes, sizeof(std::int32_t)}),
      checked_product({shape.outputs, shape.height, shape.width, static_cast<std::int64_t>(group_channels_)}));
  panels_ = make_aligned_array<std::uint8_t>(static_cast<std::size_t>(bytes));
  std::fill_n(panels_.get(), bytes, std::uint8_t{0});
  start_.assign(static_cast<std::size_t>(lanes), 0);
  kernel.storage == Storage::kShort ? pack<std::int16_t>(kernel, weights) : pack<std::int8_t>(kernel, weights);
  // Windows are of a - offset. The product's sum is right modulo 2^32, and the integers fit.
  const std::int64_t offset = offset_of(kernel.storage, static_cast<std::int32_t>(attributes.low));
  for (std::int32_t& sum : start_) sum = static_cast<std::int32_t>(sum * offset);
}

// Writes the panels, and each output's sum of weights into start_.
template <typename Element>
void QuantFilter::pack(const QuantKernel& kernel, const std::int8_t* weights) {
  Element* const panels = reinterpret_cast<Element*>(panels_.get());
  const std::size_t lanes = kernel.lanes, per_word = kernel.per_word, elements = runs_ * run_elements_;
  for (std::size_t o = 0; o < static_cast<std::size_t>(shape_.outputs); ++o) {
    const std::size_t group = o / group_outputs_, in_group = o % group_outputs_, lane = in_group % lanes;
    const std::size_t panel = group * panels_per_group_ + in_group / lanes;
    Element* const to = panels + panel * (panel_bytes_ / sizeof(Element)) + lane * per_word;
    const std::int8_t* const from = weights + o * elements;
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < elements; ++k) {
      const std::size_t run = k / run_elements_, element = k % run_elements_;
      const std::size_t word = run * run_words_ + element / per_word;
      to[word * lanes * per_word + element % per_word] = from[k];
      sum += from[k];
    }
    start_[panel * lanes + lane] = sum;
  }
}

}  // namespace rbnn
