#include "ort/tensor.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "kernels/checked.h"
#include "ort/status.h"

namespace rbnn::ort {
namespace {

const char* name_of(ElementType type) {
  return type == kFloat ? "float32" : type == kUint8 ? "uint8" : type == kInt8 ? "int8" : "int32";
}

}  // namespace

Dims::Dims(std::size_t size) : size_(size) {
  if (size > kFew) many_.resize(size);
}

Dims::Dims(const std::int64_t* dims, std::size_t size) : Dims(size) { std::copy_n(dims, size, data()); }

bool operator==(const Dims& a, const Dims& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

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

Tensor TensorReader::read(const OrtValue* value, const char* name, ElementType type) const {
  int actual = 0;
  Tensor tensor;
  if (borrow_shape_ != nullptr) {
    const std::int64_t* dims = nullptr;
    std::size_t count = 0;
    check(borrow_shape_(value, &actual, &dims, &count));
    tensor.dims = Dims(dims, count);
  } else {
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    check(api_.GetTensorTypeAndShape(value, &raw));
    const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> info(
        raw, api_.ReleaseTensorTypeAndShapeInfo);
    check(api_.GetTensorElementType(info.get(), &actual));
    tensor.dims = dims_of(api_, info.get());
  }
  if (actual != type) {
    throw std::invalid_argument(std::string(name) + " must be " + name_of(type) + ", but is of ONNX element type " +
                                std::to_string(actual));
  }
  void* data = nullptr;
  check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  tensor.data = data;
  tensor.known = true;
  return tensor;
}

bool TensorReader::read_constant(const OrtKernelInfo* info, std::size_t index, const char* name, ElementType type,
                                 Tensor& tensor) const {
  int constant = 0;
  const OrtValue* value = nullptr;
  check(api_.KernelInfoGetConstantInput_tensor(info, index, &constant, &value));
  if (!constant || value == nullptr) return false;
  tensor = read(value, name, type);
  return true;
}

bool TensorReader::read_input(const OrtKernelContext* context, std::size_t index, const char* name, ElementType type,
                              Tensor& tensor) const {
  std::size_t count = 0;
  check(api_.KernelContext_GetInputCount(context, &count));
  const OrtValue* value = nullptr;
  if (index < count) check(api_.KernelContext_GetInput(context, index, &value));
  if (value == nullptr) return false;
  tensor = read(value, name, type);
  return true;
}

void TensorReader::read_required(const OrtKernelContext* context, std::size_t index, const char* name, ElementType type,
                                 Tensor& tensor) const {
  if (!read_input(context, index, name, type, tensor)) {
    throw std::invalid_argument("input " + std::string(name) + " is missing");
  }
}

std::int64_t element_count(const Dims& dims) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) count = checked_product({count, dim});
  return count;
}

void check_dims(const char* name, const Dims& dims, const Dims& expected, const char* meaning) {
  if (dims != expected) {
    throw std::invalid_argument(std::string(name) + " must be " + meaning + " = " + to_string(expected) + ", but is " +
                                to_string(dims));
  }
}

}  // namespace rbnn::ort
