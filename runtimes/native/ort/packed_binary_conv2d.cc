// ai.rbnn::PackedBinaryConv2d (docs/ops/PackedBinaryConv2d.md) for ONNX Runtime: reads, checks, and calls the kernels.

#include <memory>
#include <stdexcept>
#include <string>

#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/bits.h"
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

enum Input : std::size_t { kX, kW, kT, kInputs };

std::int64_t packed(std::int64_t channels) {
  return static_cast<std::int64_t>(bytes_for_bits(static_cast<std::size_t>(channels)));
}

class PackedBinaryConv2dKernel {
 public:
  PackedBinaryConv2dKernel(const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo* info)
      : api_(api),
        tensors_(api, borrow_shape_of(op)),
        name_(name_of(op)),
        isa_(select_isa()),
        attributes_(read_attributes(Convolution::kPacked, api, info)) {
    if (tensors_.read_constant(info, kW, "W", kUint8, weights_)) layer_ = make_layer(isa_, attributes_, weights_);
    tensors_.read_constant(info, kT, "T", kInt32, thresholds_);
  }

  void compute(OrtKernelContext* context) const {
    Tensor x, own_w, own_t;
    tensors_.read_required(context, kX, "X", kUint8, x);
    if (!weights_.known) tensors_.read_required(context, kW, "W", kUint8, own_w);
    if (!thresholds_.known) tensors_.read_required(context, kT, "T", kInt32, own_t);
    const Tensor &w = weights_.known ? weights_ : own_w, &t = thresholds_.known ? thresholds_ : own_t;

    const std::unique_ptr<const BinaryConv2d> own = layer_ ? nullptr : make_layer(isa_, attributes_, w);
    const BinaryConv2d& layer = layer_ ? *layer_ : *own;
    if (x.dims.size() != 4 || x.dims[3] != packed(attributes_.channels)) {
      throw std::invalid_argument("X must be [N, H, W, ceil(C / 8)] with a last dimension of " +
                                  std::to_string(packed(attributes_.channels)) + " (attribute 'channels'), but is " +
                                  to_string(x.dims));
    }
    const std::int64_t outputs = w.dims[0];
    check_dims("T", t.dims, {outputs}, "[O]");
    const auto size = output_size(attributes_, FilterShape{outputs, w.dims[1], w.dims[2]}, x.dims[1], x.dims[2]);
    const auto pooled = pooled_size(attributes_, size);
    const Dims y_dims = {x.dims[0], pooled[0], pooled[1], packed(outputs)};
    checked_product({y_dims[0], y_dims[1], y_dims[2], y_dims[3]});

    OrtValue* output = nullptr;
    void* y = nullptr;
    check(api_.KernelContext_GetOutput(context, 0, y_dims.data(), y_dims.size(), &output));
    if (x.dims[0] == 0) return;
    check(api_.GetTensorMutableData(output, &y));
    Pool pool{api_, context, nullptr};
    layer.run_packed(*layer.plan(x.dims[1], x.dims[2]), static_cast<std::size_t>(x.dims[0]),
                     {static_cast<const std::uint8_t*>(x.data), static_cast<const std::int32_t*>(t.data),
                      static_cast<std::uint8_t*>(y)},
                     pool.parallel());
    check(pool.failure);
  }

  const OrtApi& api() const { return api_; }
  const char* name() const { return name_; }

 private:
  const OrtApi& api_;
  const TensorReader tensors_;
  const char* const name_;
  const Isa isa_;
  const Attributes attributes_;
  Tensor weights_, thresholds_;  // constants of the model: the session owns their memory as long as it lives
  std::unique_ptr<const BinaryConv2d> layer_;  // of constant weights; else they are packed at each run
};

}  // namespace

std::string describe_packed_binary_conv2d() { return describe_attributes(Convolution::kPacked); }
std::string limits_of_packed_binary_conv2d() { return describe_limits(); }

Operator make_packed_binary_conv2d(const OrtApi& api) {
  Operator op = operator_of<PackedBinaryConv2dKernel, kInputs>(api);
  op.GetInputType = [](const OrtCustomOp*, std::size_t index) -> int { return index == kT ? kInt32 : kUint8; };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kUint8; };
  op.InferOutputShapeFn = infer_packed_binary_conv2d;
  return op;
}

}  // namespace rbnn::ort
