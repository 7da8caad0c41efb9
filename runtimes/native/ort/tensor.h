// Types, shapes and data of ONNX Runtime's tensors, checked.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ort/c_api.h"

namespace rbnn::ort {

using Dims = std::vector<std::int64_t>;

// "[1, 8, 8, 64]"
std::string to_string(const Dims& dims);

Dims dims_of(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info);

struct Tensor {
  const void* data = nullptr;
  Dims dims;
};

// Throws std::invalid_argument where the tensor's elements are of another type than `type`.
Tensor read_tensor(const OrtApi& api, const OrtValue* value, const char* name, ElementType type);

// Input `index` of a running kernel; false where the node has none or leaves it out.
bool read_input(const OrtApi& api, const OrtKernelContext* context, std::size_t index, const char* name,
                ElementType type, Tensor& tensor);

// Throws std::invalid_argument unless the tensor has these dimensions; `meaning` names them, like "[O]".
void check_dims(const char* name, const Dims& dims, const Dims& expected, const char* meaning);

}  // namespace rbnn::ort
