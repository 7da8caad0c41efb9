// ai.rbnn::BinaryConv2d (docs/ops/BinaryConv2d.md) on raw pointers: one layer's weights, and running them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "kernels/binary_conv2d/filter.h"
#include "kernels/binary_conv2d/geometry.h"
#include "kernels/binary_conv2d/kernel.h"
#include "kernels/binary_conv2d/plan.h"
#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/row_sums/kernel.h"
#include "kernels/sign_packing/kernel.h"

namespace rbnn {

// The inner loops that there are for it.
const KernelTable<const ConvKernel*>& conv_kernels();

class BinaryConv2d {
 public:
  // weights: uint8 [O, KH, KW, ceil(C / groups / 8)], not kept.
  // Throws std::invalid_argument where attributes and shape are not a layer.
  BinaryConv2d(Isa isa, const Attributes& attributes, const FilterShape& shape, const std::uint8_t* weights);

  // The plan for an input map of this size; its output_height and output_width are the output's.
  // Throws std::invalid_argument where the kernel exceeds the padded map.
  std::shared_ptr<const Plan> plan(std::int64_t height, std::int64_t width) const;

  struct Tensors {
    const float* x;           // [samples, H, W, C]
    const float* scale;       // [O]
    const float* bias;        // [O]
    const float* residual;    // [samples, OH, OW, O], or one element, or null for a 0
    bool residual_is_scalar;
    float* y;  // [samples, OH, OW, O]; may be `residual`, may not overlap anything else
  };

  // Runs the layer. Safe to call from several threads at once; the result depends on nothing but the arguments.
  void run(const Plan& plan, std::size_t samples, const Tensors& tensors, const Parallel& parallel) const;

 private:
  struct Round;
  void compute_thresholds(const Round& round, const Parallel& parallel) const;
  void compute_windows(const Round& round, const Parallel& parallel) const;
  void compute_outputs(const Round& round, const Parallel& parallel) const;

  const RowSums sum_rows_;
  const PackSigns pack_signs_;
  const ConvKernel& kernel_;
  const Attributes attributes_;
  const Filter filter_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Plan> last_plan_;  // sizes rarely change from one run to the next
};

}  // namespace rbnn
