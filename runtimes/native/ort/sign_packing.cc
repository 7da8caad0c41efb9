// ai.rbnn::PackSigns and UnpackSigns (docs/ops/) for ONNX Runtime: reads, checks, and calls the kernels.

#include "kernels/sign_packing/sign_packing.h"

#include <stdexcept>
#include <string>

#include "kernels/bits.h"
#include "kernels/checked.h"
#include "kernels/sign_packing/maps.h"
#include "ort/attributes.h"
#include "ort/json.h"
#include "ort/operators.h"
#include "ort/pool.h"
#include "ort/shape_inference.h"
#include "ort/status.h"
#include "ort/tensor.h"

namespace rbnn::ort {
namespace {

std::size_t pixels_of(const Dims& dims) {
  return static_cast<std::size_t>(checked_product({dims[0], dims[1], dims[2]}));
}

// Makes the output and returns its elements; null where there are none.
void* output_of(const OrtApi& api, OrtKernelContext* context, const Dims& dims) {
  OrtValue* output = nullptr;
  void* y = nullptr;
  check(api.KernelContext_GetOutput(context, 0, dims.data(), dims.size(), &output));
  if (dims[0] != 0) check(api.GetTensorMutableData(output, &y));
  return y;
}

class Kernel {
 public:
  Kernel(const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo*)
      : api_(api), tensors_(api, borrow_shape_of(op)), name_(name_of(op)) {}

  const OrtApi& api() const { return api_; }
  const char* name() const { return name_; }

 protected:
  const OrtApi& api_;
  const TensorReader tensors_;
  const char* const name_;
};

class PackSignsKernel : public Kernel {
 public:
  PackSignsKernel(const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo* info)
      : Kernel(api, op, info), packing_(kernel_for(sign_packing_kernels(), select_isa())) {}

  void compute(OrtKernelContext* context) const {
    Tensor x, t;
    tensors_.read_required(context, 0, "X", kFloat, x);
    tensors_.read_required(context, 1, "T", kFloat, t);
    if (x.dims.size() != 4 || x.dims[1] == 0 || x.dims[2] == 0 || x.dims[3] == 0) {
      throw std::invalid_argument("X must be [N, H, W, C] with H, W and C of at least 1, but is " + to_string(x.dims));
    }
    bool one = true;
    for (const std::int64_t dim : t.dims) one = one && dim == 1;
    if (!one) check_dims("T", t.dims, {x.dims[3]}, "[C] or of one element");
    const auto channels = static_cast<std::size_t>(x.dims[3]);
    const Dims y_dims = {x.dims[0], x.dims[1], x.dims[2], static_cast<std::int64_t>(bytes_for_bits(channels))};
    void* const y = output_of(api_, context, y_dims);
    if (y == nullptr) return;
    Pool pool{api_, context, nullptr};
    pack_map(packing_, static_cast<const float*>(x.data), pixels_of(x.dims), channels,
             static_cast<const float*>(t.data), one, static_cast<std::uint8_t*>(y), pool.parallel());
    check(pool.failure);
  }

 private:
  const SignPacking packing_;
};

class UnpackSignsKernel : public Kernel {
 public:
  UnpackSignsKernel(const OrtApi& api, const OrtCustomOp* op, const OrtKernelInfo* info)
      : Kernel(api, op, info), channels_(read_channels(api, info)) {}

  void compute(OrtKernelContext* context) const {
    Tensor x;
    tensors_.read_required(context, 0, "X", kUint8, x);
    const auto channels = static_cast<std::size_t>(channels_), bytes = bytes_for_bits(channels);
    if (x.dims.size() != 4 || x.dims[1] == 0 || x.dims[2] == 0 || x.dims[3] != static_cast<std::int64_t>(bytes)) {
      throw std::invalid_argument(
          "X must be [N, H, W, ceil(C / 8)] with H and W of at least 1 and a last dimension of " +
          std::to_string(bytes) + " (attribute 'channels'), but is " + to_string(x.dims));
    }
    const Dims y_dims = {x.dims[0], x.dims[1], x.dims[2], channels_};
    checked_product({y_dims[0], y_dims[1], y_dims[2], y_dims[3], sizeof(float)});
    void* const y = output_of(api_, context, y_dims);
    if (y == nullptr) return;
    Pool pool{api_, context, nullptr};
    unpack_map(static_cast<const std::uint8_t*>(x.data), pixels_of(x.dims), channels, static_cast<float*>(y),
               pool.parallel());
    check(pool.failure);
  }

 private:
  const std::int64_t channels_;
};

}  // namespace

std::string describe_pack_signs() { return json::array({}); }
std::string describe_unpack_signs() { return describe_channels(); }
std::string limits_of_pack_signs() { return json::object({}); }
std::string limits_of_unpack_signs() { return json::object({}); }

Operator make_pack_signs(const OrtApi& api) {
  Operator op = operator_of<PackSignsKernel, 2>(api);
  op.GetInputType = [](const OrtCustomOp*, std::size_t) -> int { return kFloat; };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kUint8; };
  op.InferOutputShapeFn = infer_pack_signs;
  return op;
}

Operator make_unpack_signs(const OrtApi& api) {
  Operator op = operator_of<UnpackSignsKernel, 1>(api);
  op.GetInputType = [](const OrtCustomOp*, std::size_t) -> int { return kUint8; };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kFloat; };
  op.InferOutputShapeFn = infer_unpack_signs;
  return op;
}

}  // namespace rbnn::ort
