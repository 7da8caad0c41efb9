#include "ort/shape_inference.h"

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/binary_conv2d/geometry.h"
#include "ort/attributes.h"
#include "ort/operators.h"
#include "ort/status.h"
#include "ort/tensor.h"

namespace rbnn::ort {
namespace {

// The dimensions of an input of rank 4, each below 0 where it is not known; empty where not even the rank is.
Dims input_dims(const OrtApi& api, const OrtShapeInferContext* context, std::size_t index) {
  OrtTensorTypeAndShapeInfo* info = nullptr;  // borrowed from the context
  check(api.ShapeInferContext_GetInputTypeShape(context, index, &info));
  Dims dims = dims_of(api, info);
  return dims.size() == 4 ? dims : Dims{};
}

// A dimension that is not known must have a name, or ONNX Runtime takes it for a size; and a name of its own, because
// two dimensions of one name are the same size to its memory planner.
std::string new_dimension_name() {
  static std::atomic<unsigned> count{0};
  return "rbnn_dimension_" + std::to_string(count++);
}

// The name that X's first dimension has in the model, if any.
std::string batch_name(const OrtApi& api, const OrtShapeInferContext* context, const std::string& otherwise) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(api.ShapeInferContext_GetInputTypeShape(context, 0, &info));
  const char* names[4] = {};
  const bool known = succeeded(api, api.GetSymbolicDimensions(info, names, 4)) && names[0] != nullptr && *names[0];
  return known ? names[0] : otherwise;
}

// Sets the output's type and shape; sizes below 0 are not known.
void set_output(const OrtApi& api, OrtShapeInferContext* context, ElementType type, const Dims& y) {
  std::array<std::string, 4> names;
  for (std::size_t i = 0; i < 4; ++i) {
    if (y[i] < 0) names[i] = new_dimension_name();
  }
  if (y[0] < 0) names[0] = batch_name(api, context, names[0]);
  const char* pointers[4] = {names[0].c_str(), names[1].c_str(), names[2].c_str(), names[3].c_str()};

  OrtTensorTypeAndShapeInfo* raw = nullptr;
  check(api.CreateTensorTypeAndShapeInfo(&raw));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> info(
      raw, api.ReleaseTensorTypeAndShapeInfo);
  check(api.SetTensorElementType(info.get(), type));
  check(api.SetDimensions(info.get(), y.data(), y.size()));
  check(api.SetSymbolicDimensions(info.get(), pointers, 4));
  check(api.ShapeInferContext_SetOutputTypeShape(context, 0, info.get()));
}

// The bytes of packed channels; below 0 where their number is not known.
std::int64_t packed(std::int64_t channels) { return channels < 0 ? -1 : channels / 8 + (channels % 8 != 0); }

void infer_convolution(Convolution which, const OrtApi& api, OrtShapeInferContext* context) {
  const Dims x = input_dims(api, context, 0), w = input_dims(api, context, 1);
  const std::optional<Attributes> attributes = read_geometry(which, api, context);
  if (x.empty() || w.empty() || !attributes.has_value()) return;

  const bool bits = which == Convolution::kPacked;
  Dims y = {x[0], -1, -1, bits ? packed(w[0]) : w[0]};
  const FilterShape shape{w[0], w[1], w[2]};
  const Axis axes[2] = {vertical_axis(*attributes, shape), horizontal_axis(*attributes, shape)};
  for (std::size_t i = 0; i < 2; ++i) {
    if (x[1 + i] < 1 || axes[i].taps < 1) continue;
    try {
      y[1 + i] = axes[i].output_size(x[1 + i]) / attributes->pool[i];
    } catch (const std::invalid_argument&) {
      return;  // the kernel says so when it is made or run
    }
    if (y[1 + i] == 0) return;  // likewise
  }
  set_output(api, context, bits ? kUint8 : kFloat, y);
}

// One dimension at a time: either may be known without the other.
void infer_quant(const OrtApi& api, OrtShapeInferContext* context) {
  const Dims x = input_dims(api, context, 0), w = input_dims(api, context, 1);
  const std::optional<QuantAttributes> attributes = read_quant_geometry(api, context);
  if (x.empty() || w.empty() || !attributes) return;

  const std::size_t first = attributes->layout == MapLayout::kChannelsFirst ? 2 : 1;
  Dims y = {x[0], -1, -1, w[0]};
  for (std::size_t i = 0; i < 2; ++i) {
    if (x[first + i] < 1 || w[1 + i] < 1) continue;
    try {
      y[1 + i] = quant_extents(*attributes, i, w[1 + i], x[first + i]).pool;
    } catch (const std::invalid_argument&) {
      return;  // the kernel says so when it is made or run
    }
  }
  set_output(api, context, kFloat, y);
}

}  // namespace

OrtStatus* infer_binary_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = api_of(op);
  return guard(api, name_of(op), [&] { infer_convolution(Convolution::kBasic, api, context); });
}

OrtStatus* infer_packed_binary_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = api_of(op);
  return guard(api, name_of(op), [&] { infer_convolution(Convolution::kPacked, api, context); });
}

OrtStatus* infer_quant_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = api_of(op);
  return guard(api, name_of(op), [&] { infer_quant(api, context); });
}

OrtStatus* infer_pack_signs(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = api_of(op);
  return guard(api, name_of(op), [&] {
    const Dims x = input_dims(api, context, 0);
    if (!x.empty()) set_output(api, context, kUint8, {x[0], x[1], x[2], packed(x[3])});
  });
}

OrtStatus* infer_unpack_signs(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = api_of(op);
  return guard(api, name_of(op), [&] {
    const Dims x = input_dims(api, context, 0);
    const std::optional<std::int64_t> channels = read_channels(api, context);
    if (!x.empty() && channels) set_output(api, context, kFloat, {x[0], x[1], x[2], *channels});
  });
}

}  // namespace rbnn::ort
