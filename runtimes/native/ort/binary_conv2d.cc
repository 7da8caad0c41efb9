// ai.rbnn::BinaryConv2d and GeneralBinaryConv2d (docs/ops/) for ONNX Runtime: reads, checks, and calls the kernels.

#include "kernels/binary_conv2d/binary_conv2d.h"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include "kernels/checked.h"
#include "ort/attributes.h"
#include "ort/convolution.h"
#include "ort/operators.h"
#include "ort/pool.h"
#include "ort/shape_inference.h"
#include "ort/status.h"
#include "ort/tensor.h"

namespace rbnn::ort {
namespace {

// BinaryConv2d has the first ones, up to kR.
enum Input : std::size_t { kX, kW, kScale, kBias, kR, kT, kWindowSum, kNeg, kPos, kPost, kBorder };

constexpr std::size_t input_count(Convolution which) { return which == Convolution::kGeneral ? kBorder + 1 : kR + 1; }

// The inputs that only GeneralBinaryConv2d has, from kT on.
constexpr std::array<const char*, 6> kGeneralNames = {"T", "window_sum", "neg", "pos", "post", "border"};

class BinaryConv2dKernel {
 public:
  BinaryConv2dKernel(Convolution which, const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo* info)
      : api_(api),
        tensors_(api, borrow_shape_of(op)),
        name_(name_of(op)),
        which_(which),
        isa_(select_isa()),
        attributes_(read_attributes(which, api, info)) {
    if (tensors_.read_constant(info, kW, "W", kUint8, weights_)) layer_ = make_layer(weights_);
    tensors_.read_constant(info, kScale, "scale", kFloat, scale_);
    tensors_.read_constant(info, kBias, "bias", kFloat, bias_);
    if (which != Convolution::kGeneral) return;
    for (std::size_t i = 0; i < kGeneralNames.size(); ++i) {
      tensors_.read_constant(info, kT + i, kGeneralNames[i], kFloat, general_[i]);
    }
  }

  void compute(OrtKernelContext* context) const {
    Tensor x, own_w, own_scale, own_bias, residual;
    tensors_.read_required(context, kX, "X", kFloat, x);
    const Tensor& w = constant_or_read(weights_, context, kW, "W", kUint8, own_w);
    const Tensor& scale = constant_or_read(scale_, context, kScale, "scale", kFloat, own_scale);
    const Tensor& bias = constant_or_read(bias_, context, kBias, "bias", kFloat, own_bias);
    const bool has_residual = tensors_.read_input(context, kR, "R", kFloat, residual);

    const std::unique_ptr<const BinaryConv2d> own = layer_ == nullptr ? make_layer(w) : nullptr;
    const BinaryConv2d& layer = layer_ == nullptr ? *own : *layer_;
    if (x.dims.size() != 4 || x.dims[3] != attributes_.channels) {
      throw std::invalid_argument("X must be [N, H, W, C] with C = " + std::to_string(attributes_.channels) +
                                  " (attribute 'channels'), but is " + to_string(x.dims));
    }
    const std::int64_t outputs = w.dims[0];
    check_dims("scale", scale.dims, {outputs}, "[O]");
    check_dims("bias", bias.dims, {outputs}, "[O]");
    const auto size = output_size(attributes_, FilterShape{outputs, w.dims[1], w.dims[2]}, x.dims[1], x.dims[2]);
    const Dims y_dims = {x.dims[0], size[0], size[1], outputs};
    checked_product({y_dims[0], y_dims[1], y_dims[2], y_dims[3], sizeof(float)});
    BinaryConv2d::Tensors tensors{};
    if (which_ == Convolution::kGeneral) read_general(context, w.dims, tensors);
    const bool scalar = has_residual && element_count(residual.dims) == 1;
    if (has_residual && !scalar) check_dims("R", residual.dims, y_dims, "[N, OH, OW, O]");

    OrtValue* output = nullptr;
    void* y = nullptr;
    check(api_.KernelContext_GetOutput(context, 0, y_dims.data(), y_dims.size(), &output));
    if (x.dims[0] == 0) return;
    check(api_.GetTensorMutableData(output, &y));
    tensors.x = static_cast<const float*>(x.data);
    tensors.scale = static_cast<const float*>(scale.data);
    tensors.bias = static_cast<const float*>(bias.data);
    tensors.residual = static_cast<const float*>(residual.data);
    tensors.residual_is_scalar = scalar;
    tensors.y = static_cast<float*>(y);
    Pool pool{api_, context, nullptr};
    layer.run(*layer.plan(x.dims[1], x.dims[2]), static_cast<std::size_t>(x.dims[0]), tensors, pool.parallel());
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

  void read_general(const OrtKernelContext* context, const Dims& w, BinaryConv2d::Tensors& tensors) const {
    const std::int64_t outputs = w[0];
    const bool slopes = attributes_.activation == Activation::kPrelu;
    const Dims of_slopes = slopes ? Dims{outputs} : Dims{};
    const Dims of_t = attributes_.threshold == Threshold::kPerChannel ? Dims{attributes_.channels} : Dims{};
    tensors.thresholds = per_channel(context, kT, "[C]", of_t, !of_t.empty());
    tensors.window_sum = unless_zero(per_channel(context, kWindowSum, "[O]", {outputs}, false));
    tensors.neg = per_channel(context, kNeg, "[O]", of_slopes, slopes);
    tensors.pos = per_channel(context, kPos, "[O]", of_slopes, false);
    tensors.post = per_channel(context, kPost, "[O]", of_slopes, false);
    tensors.border = unless_zero(per_channel(context, kBorder, "[KH, KW, O]", {w[1], w[2], outputs}, false));
  }

  static BinaryConv2d::PerChannel unless_zero(const BinaryConv2d::PerChannel& values) {
    return values.one && *values.values == 0.0f ? BinaryConv2d::PerChannel{} : values;
  }

  // An input of its full shape, or of one element. No attribute reads it where the full shape is empty.
  BinaryConv2d::PerChannel per_channel(const OrtKernelContext* context, Input index, const char* meaning,
                                       const Dims& full, bool needed) const {
    const char* const name = kGeneralNames[index - kT];
    const Tensor& constant = general_[index - kT];
    Tensor own;
    if (!constant.known && !tensors_.read_input(context, index, name, kFloat, own)) {
      if (needed) throw std::invalid_argument("input " + std::string(name) + " is missing, which the attributes need");
      return {};
    }
    const Tensor& tensor = constant.known ? constant : own;
    const bool one = element_count(tensor.dims) == 1;
    if (!one && full.empty()) {
      throw std::invalid_argument(std::string(name) + " must be of one element, as no attribute reads it, but is " +
                                  to_string(tensor.dims));
    }
    if (!one) check_dims(name, tensor.dims, full, meaning);
    return {static_cast<const float*>(tensor.data), one};
  }

  std::unique_ptr<const BinaryConv2d> make_layer(const Tensor& w) const {
    return ort::make_layer(isa_, attributes_, w);
  }

  const OrtApi& api_;
  const TensorReader tensors_;
  const char* const name_;
  const Convolution which_;
  const Isa isa_;
  const Attributes attributes_;
  // Inputs that are constants of the model. The session owns their memory as long as it lives.
  Tensor weights_, scale_, bias_;
  std::array<Tensor, kGeneralNames.size()> general_;
  std::unique_ptr<const BinaryConv2d> layer_;  // of constant weights, packed once; else they are packed at each run
};

template <Convolution kWhich>
class KernelOf : public BinaryConv2dKernel {
 public:
  KernelOf(const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo* info)
      : BinaryConv2dKernel(kWhich, api, op, info) {}
};

template <Convolution kWhich>
Operator make_operator(const OrtApi& api) {
  Operator op = operator_of<KernelOf<kWhich>, input_count(kWhich)>(api);
  op.GetInputType = [](const OrtCustomOp*, std::size_t index) -> int { return index == kW ? kUint8 : kFloat; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, std::size_t index) -> int {
    return index >= kR ? kOptional : kRequired;
  };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kFloat; };
  op.InferOutputShapeFn = infer_binary_conv2d;
  return op;
}

}  // namespace

std::string describe_binary_conv2d() { return describe_attributes(Convolution::kBasic); }
std::string describe_general_binary_conv2d() { return describe_attributes(Convolution::kGeneral); }

std::string limits_of_binary_conv2d() { return describe_limits(); }
std::string limits_of_general_binary_conv2d() { return describe_limits(); }

Operator make_binary_conv2d(const OrtApi& api) {
  Operator op = make_operator<Convolution::kBasic>(api);
  // Y may take R's memory where nobody else reads R: each element of R is read before the one of Y is written, and a
  // residual of one element is copied first.
  op.GetMayInplace = [](int** inputs, int** outputs) {
    static int input = static_cast<int>(kR), output = 0;
    *inputs = &input;
    *outputs = &output;
    return std::size_t{1};
  };
  return op;
}

// Y must not take R's memory: a residual behind the activation is read after Y was written.
Operator make_general_binary_conv2d(const OrtApi& api) {
  Operator op = make_operator<Convolution::kGeneral>(api);
  op.may_skip_inputs = true;
  return op;
}

}  // namespace rbnn::ort
