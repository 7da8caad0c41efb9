#include "ort/tensor.h"

#include <memory>
#include <stdexcept>

#include "ort/status.h"

namespace rbnn::ort {

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(dims[i]);
  return text + "]";
}

Dims dims_of(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  std::size_t count = 0;
  check(api.GetDimensionsCount(info, &count));
  Dims dims(count);
  check(api.GetDimensions(info, dims.data(), count));
  return dims;
}

Tensor read_tensor(const OrtApi& api, const OrtValue* value, const char* name, ElementType type) {
  OrtTensorTypeAndShapeInfo* raw = nullptr;
  check(api.GetTensorTypeAndShape(value, &raw));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> info(
      raw, api.ReleaseTensorTypeAndShapeInfo);
  int actual = 0;
  check(api.GetTensorElementType(info.get(), &actual));
  if (actual != type) {
    throw std::invalid_argument(std::string(name) + " must be " + (type == kFloat ? "float32" : "uint8") +
                                ", but is of ONNX element type " + std::to_string(actual));
  }
  void* data = nullptr;
  check(api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  return {data, dims_of(api, info.get())};
}

bool read_input(const OrtApi& api, const OrtKernelContext* context, std::size_t index, const char* name,
                ElementType type, Tensor& tensor) {
  std::size_t count = 0;
  check(api.KernelContext_GetInputCount(context, &count));
  const OrtValue* value = nullptr;
  if (index < count) check(api.KernelContext_GetInput(context, index, &value));
  if (value == nullptr) return false;
  tensor = read_tensor(api, value, name, type);
  return true;
}

void check_dims(const char* name, const Dims& dims, const Dims& expected, const char* meaning) {
  if (dims != expected) {
    throw std::invalid_argument(std::string(name) + " must be " + meaning + " = " + to_string(expected) + ", but is " +
                                to_string(dims));
  }
}

}  // namespace rbnn::ort
