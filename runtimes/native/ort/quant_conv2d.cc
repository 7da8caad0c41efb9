// ai.rbnn::QuantConv2d (docs/ops/QuantConv2d.md) for ONNX Runtime: reads, checks, and calls the kernels.

#include "kernels/quant_conv2d/quant_conv2d.h"

#include <memory>
#include <stdexcept>
#include <string>

#include "kernels/binary_conv2d/limits.h"
#include "kernels/checked.h"
#include "kernels/quant_conv2d/limits.h"
#include "ort/attributes.h"
#include "ort/json.h"
#include "ort/operators.h"
#include "ort/pool.h"
#include "ort/shape_inference.h"
#include "ort/status.h"
#include "ort/tensor.h"

namespace rbnn::ort {
namespace {

enum Input : std::size_t { kX, kW, kScale, kBias, kFactor, kR, kInputs };

class QuantConv2dKernel {
 public:
  QuantConv2dKernel(const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo* info)
      : api_(api),
        tensors_(api, borrow_shape_of(op)),
        name_(name_of(op)),
        isa_(select_isa()),
        attributes_(read_quant_attributes(api, info)) {
    if (tensors_.read_constant(info, kW, "W", kInt8, weights_)) layer_ = make_layer(weights_);
    tensors_.read_constant(info, kScale, "scale", kFloat, scale_);
    tensors_.read_constant(info, kBias, "bias", kFloat, bias_);
    tensors_.read_constant(info, kFactor, "factor", kFloat, factor_);
  }

  void compute(OrtKernelContext* context) const {
    Tensor x, own_w, own_scale, own_bias, own_factor, residual;
    tensors_.read_required(context, kX, "X", kFloat, x);
    const Tensor& w = constant_or_read(weights_, context, kW, "W", kInt8, own_w);
    const Tensor& scale = constant_or_read(scale_, context, kScale, "scale", kFloat, own_scale);
    const Tensor& bias = constant_or_read(bias_, context, kBias, "bias", kFloat, own_bias);
    const Tensor& factor = constant_or_read(factor_, context, kFactor, "factor", kFloat, own_factor);
    const bool has_residual = tensors_.read_input(context, kR, "R", kFloat, residual);

    const std::unique_ptr<const QuantConv2d> own = layer_ ? nullptr : make_layer(w);
    const QuantConv2d& layer = layer_ ? *layer_ : *own;
    const bool channels_first = attributes_.layout == MapLayout::kChannelsFirst;
    const std::size_t channel_axis = channels_first ? 1 : 3, row_axis = channels_first ? 2 : 1;
    if (x.dims.size() != 4 || x.dims[channel_axis] != attributes_.conv.channels) {
      throw std::invalid_argument(std::string("X must be ") + (channels_first ? "[N, C, H, W]" : "[N, H, W, C]") +
                                  " (attribute 'layout') with C = " + std::to_string(attributes_.conv.channels) +
                                  " (attribute 'channels'), but is " + to_string(x.dims));
    }
    const std::int64_t samples = x.dims[0], outputs = w.dims[0];
    check_dims("scale", scale.dims, {outputs}, "[O]");
    check_dims("bias", bias.dims, {outputs}, "[O]");
    if (element_count(factor.dims) != 1) {
      throw std::invalid_argument("factor must be of one element, but is " + to_string(factor.dims));
    }
    const QuantSizes sizes = layer.sizes(x.dims[row_axis], x.dims[row_axis + 1]);
    const Dims y_dims = {samples, sizes.pool[0], sizes.pool[1], outputs};
    checked_product({y_dims[0], y_dims[1], y_dims[2], y_dims[3], sizeof(float)});
    const bool scalar = has_residual && element_count(residual.dims) == 1;
    if (has_residual && !scalar) {
      check_dims("R", residual.dims, {samples, sizes.conv[0], sizes.conv[1], outputs}, "[N, OH, OW, O]");
    }

    OrtValue* output = nullptr;
    void* y = nullptr;
    check(api_.KernelContext_GetOutput(context, 0, y_dims.data(), y_dims.size(), &output));
    if (samples == 0) return;
    check(api_.GetTensorMutableData(output, &y));
    QuantConv2d::Tensors tensors{};
    tensors.x = static_cast<const float*>(x.data);
    tensors.scale = static_cast<const float*>(scale.data);
    tensors.bias = static_cast<const float*>(bias.data);
    tensors.residual = static_cast<const float*>(residual.data);
    tensors.residual_is_scalar = scalar;
    tensors.factor = *static_cast<const float*>(factor.data);
    tensors.y = static_cast<float*>(y);
    Pool pool{api_, context, nullptr};
    layer.run(sizes, static_cast<std::size_t>(samples), tensors, pool.parallel());
    check(pool.failure);
  }

  const OrtApi& api() const { return api_; }
  const char* name() const { return name_; }

 private:
  const Tensor& constant_or_read(const Tensor& constant, const OrtKernelContext* context, Input index, const char* name,
                                 ElementType type, Tensor& own) const {
    if (constant.known) return constant;
    tensors_.read_required(context, index, name, type, own);
    return own;
  }

  std::unique_ptr<const QuantConv2d> make_layer(const Tensor& w) const {
    const std::int64_t group_channels = attributes_.conv.channels / attributes_.conv.groups;
    if (w.dims.size() != 4 || w.dims[3] != group_channels) {
      throw std::invalid_argument("W must be [O, KH, KW, C / groups] with a last dimension of " +
                                  std::to_string(group_channels) + ", but is " + to_string(w.dims));
    }
    return std::make_unique<const QuantConv2d>(isa_, attributes_, FilterShape{w.dims[0], w.dims[1], w.dims[2]},
                                               static_cast<const std::int8_t*>(w.data));
  }

  const OrtApi& api_;
  const TensorReader tensors_;
  const char* const name_;
  const Isa isa_;
  const QuantAttributes attributes_;
  // Inputs that are constants of the model. The session owns their memory as long as it lives.
  Tensor weights_, scale_, bias_, factor_;
  std::unique_ptr<const QuantConv2d> layer_;  // of constant weights, packed once; else they are packed at each run
};

}  // namespace

std::string describe_quant_conv2d() { return describe_quant_attributes(); }

std::string limits_of_quant_conv2d() {
  const auto member = [](const char* name, auto value) { return json::member(name, std::to_string(value)); };
  return json::object({member("largest_size", kLargestSize), member("integer_limit", kIntegerLimit),
                       member("activation_range", kLargestActivation), member("largest_weight", kLargestWeight),
                       member("map_pixels", kMapPixels), member("map_growth", kMapGrowth)});
}

// Y must not take R's memory: below a pool, rows of R are read after rows of Y were written.
Operator make_quant_conv2d(const OrtApi& api) {
  Operator op = operator_of<QuantConv2dKernel, kInputs>(api);
  op.GetInputType = [](const OrtCustomOp*, std::size_t index) -> int { return index == kW ? kInt8 : kFloat; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, std::size_t index) -> int {
    return index == kR ? kOptional : kRequired;
  };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kFloat; };
  op.InferOutputShapeFn = infer_quant_conv2d;
  return op;
}

}  // namespace rbnn::ort
