// ai.rbnn::BinaryConv2d and GeneralBinaryConv2d (docs/ops/) on raw pointers: one layer's weights, and running them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/binary_conv2d/filter.h"
#include "kernels/binary_conv2d/geometry.h"
#include "kernels/binary_conv2d/kernel.h"
#include "kernels/binary_conv2d/plan.h"
#include "kernels/epilogue/kernel.h"
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
  // window_budget: bytes of windows above which they are gathered in bands; it changes no result.
  BinaryConv2d(Isa isa, const Attributes& attributes, const FilterShape& shape, const std::uint8_t* weights,
               std::size_t window_budget = kWindowBudget);

  // The plan for an input map of this size; its output_height and output_width are the output's.
  // Throws std::invalid_argument where the kernel exceeds the padded map.
  std::shared_ptr<const Plan> plan(std::int64_t height, std::int64_t width) const;

  // A value for each channel, or one element that stands for all; null where the layer has none.
  struct PerChannel {
    const float* values = nullptr;
    bool one = false;
  };

  struct Tensors {
    const float* x;         // [samples, H, W, C]
    const float* scale;     // [O]
    const float* bias;      // [O]
    const float* residual;  // [samples, OH, OW, O], or one element, or null for a 0
    bool residual_is_scalar;
    // [samples, OH, OW, O]; may not overlap anything else, but may be `residual` if that is added before the activation
    float* y;

    // Of GeneralBinaryConv2d.
    PerChannel thresholds;      // T, of Threshold::kPerChannel
    PerChannel window_sum;      // null: no such step
    PerChannel neg, pos, post;  // of Activation::kPrelu; pos may be null for 1, post for 0
    PerChannel border;          // [KH, KW, O] or one element; null: no such step
  };

  // Those of PackedBinaryConv2d.
  struct PackedTensors {
    const std::uint8_t* x;           // [samples, H, W, ceil(C / 8)]
    const std::int32_t* thresholds;  // [O]
    std::uint8_t* y;                 // [samples, PH, PW, ceil(O / 8)]
  };

  // Runs the layer. Safe to call from several threads at once; the result depends on nothing but the arguments.
  void run(const Plan& plan, std::size_t samples, const Tensors& tensors, const Parallel& parallel) const;
  // The same from bits to bits (packed.cc); of the attributes, threshold and activation are not read.
  void run_packed(const Plan& plan, std::size_t samples, const PackedTensors& tensors, const Parallel& parallel) const;

 private:
  struct Round;
  struct PackedRound;
  Product product_of(const Round& round, const Band& band) const;
  bool has_epilogue(const Round& round) const;
  void add_border(const Round& round, const Product& part, std::size_t first_output, std::size_t count) const noexcept;
  void finish(const Round& round, const Product& part, std::size_t first_pixel, std::size_t channel,
              const float* sums) const noexcept;
  void compute_thresholds(const Round& round, const Parallel& parallel) const;
  template <typename Function>
  void for_rows(const Round& round, std::size_t rows_per_sample, const Parallel& parallel, Function function) const;
  void copy_row(const Round& round, std::size_t row, Word* row_bits) const noexcept;
  void compute_signs(const PackedRound& packed, const Band& band, const Parallel& parallel) const;
  void merge_signs(const PackedRound& packed, const Band& band, const Parallel& parallel) const;
  void pack_row(const Round& round, std::size_t sample, std::size_t row, Word* row_bits) const noexcept;
  void compute_bits(const Round& round, const Parallel& parallel) const;
  void compute_sums(const Round& round, const Band& band, const Parallel& parallel) const;
  void compute_windows(const Round& round, const Band& band, const Parallel& parallel) const;
  void compute_outputs(const Round& round, const Band& band, const Parallel& parallel) const;
  // Cuts a product of so many pixels into tasks: calls `function(part, group)` for each, whose ranges and panels are
  // set.
  template <typename Function>
  void for_products(const Product& product, std::size_t pixels, const Parallel& parallel, Function function) const;

  const RowSums sum_rows_;
  const SignPacking pack_signs_;
  const FinishOutputs finish_outputs_;
  const ConvKernel& kernel_;
  const Attributes attributes_;
  const Filter filter_;
  const std::size_t window_budget_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Plan>> plans_;  // of the sizes used last, the latest first
};

}  // namespace rbnn
