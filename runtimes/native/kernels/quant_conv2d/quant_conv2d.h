// ai.rbnn::QuantConv2d (docs/ops/QuantConv2d.md) on raw pointers: one layer's weights, and running them.

#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/quant_conv2d/filter.h"
#include "kernels/quant_conv2d/geometry.h"
#include "kernels/quant_conv2d/kernel.h"

namespace rbnn {

// The inner loops that there are for it.
const KernelTable<const QuantKernel*>& quant_kernels();

class QuantConv2d {
 public:
  // weights: int8 [O, KH, KW, C / groups], not kept.
  // Throws std::invalid_argument where attributes and shape are not a layer.
  QuantConv2d(Isa isa, const QuantAttributes& attributes, const FilterShape& shape, const std::int8_t* weights);

  // The maps of an input of this size. Throws std::invalid_argument where there are none.
  QuantSizes sizes(std::int64_t height, std::int64_t width) const {
    return QuantSizes(attributes_, filter_.shape(), height, width);
  }

  struct Tensors {
    const float* x;         // [samples, C, H, W] or [samples, H, W, C]
    const float* scale;     // [O]
    const float* bias;      // [O]
    const float* residual;  // [samples, OH, OW, O], or one element, or null for a 0
    bool residual_is_scalar;
    float factor;
    float* y;  // [samples, PH, PW, O]; may not overlap anything else
  };

  // Runs the layer. Safe to call from several threads at once; the result depends on nothing but the arguments.
  void run(const QuantSizes& sizes, std::size_t samples, const Tensors& tensors, const Parallel& parallel) const;

 private:
  struct Run;
  void average(const Run& run, const float* x, const Parallel& parallel) const;
  void quantise(const Run& run, const float* x, const Parallel& parallel) const;
  void quantise_row(const Run& run, const float* x, std::size_t row) const noexcept;
  bool reads_row(const QuantSizes& sizes, std::size_t row) const noexcept;
  void convolve_row(const Run& run, std::size_t sample, std::size_t task, std::size_t row, std::size_t panel_begin,
                    std::size_t panel_end, float* output, std::size_t output_stride) const noexcept;
  void gather(const Run& run, std::size_t group, std::size_t row, std::size_t begin, std::size_t end,
              std::uint8_t* windows) const noexcept;
  void compute(const Run& run, std::size_t sample, const Parallel& parallel) const;

  const QuantKernel& kernel_;
  const QuantAttributes attributes_;
  const QuantFilter filter_;
};

}  // namespace rbnn
