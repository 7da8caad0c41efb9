// The weights of one layer of QuantConv2d, re-packed once for one kernel.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/memory.h"
#include "kernels/quant_conv2d/geometry.h"
#include "kernels/quant_conv2d/kernel.h"

namespace rbnn {

class QuantFilter {
 public:
  // `weights` is W of the specification. Where windows are gathered, all taps of one are one run; else a run is one
  // kernel row, so that windows are read where their rows are stored.
  QuantFilter(const QuantKernel& kernel, const QuantAttributes& attributes, const FilterShape& shape,
              const std::int8_t* weights);

  const FilterShape& shape() const { return shape_; }
  bool gathered() const { return gathered_; }
  std::size_t runs() const { return runs_; }
  std::size_t run_words() const { return run_words_; }
  std::size_t panel_bytes() const { return panel_bytes_; }
  std::size_t panels_per_group() const { return panels_per_group_; }

  // Panel `panel` of all groups' panels.
  const std::uint8_t* panel(std::size_t panel) const { return panels_.get() + panel * panel_bytes_; }
  // [groups * panels_per_group][lanes]; see kernel.h.
  const std::int32_t* start() const { return start_.data(); }

 private:
  template <typename Element>
  void pack(const QuantKernel& kernel, const std::int8_t* weights);

  FilterShape shape_;
  std::size_t group_channels_, group_outputs_, panels_per_group_;
  bool gathered_;
  std::size_t runs_, run_elements_, run_words_, panel_bytes_;
  AlignedArray<std::uint8_t> panels_;
  std::vector<std::int32_t> start_;
};

}  // namespace rbnn
