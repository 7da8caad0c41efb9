// Types, shapes and data of ONNX Runtime's tensors, checked.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "ort/c_api.h"

namespace rbnn::ort {

// A tensor's shape. One of few dimensions takes no memory from the heap: a kernel reads shapes at each run.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> dims) : Dims(dims.begin(), dims.size()) {}
  Dims(const std::int64_t* dims, std::size_t size);
  explicit Dims(std::size_t size);  // zeros

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::int64_t* data() const { return size_ <= kFew ? few_.data() : many_.data(); }
  std::int64_t* data() { return size_ <= kFew ? few_.data() : many_.data(); }
  const std::int64_t* begin() const { return data(); }
  const std::int64_t* end() const { return data() + size_; }
  std::int64_t operator[](std::size_t i) const { return data()[i]; }
  std::int64_t& operator[](std::size_t i) { return data()[i]; }

 private:
  static constexpr std::size_t kFew = 6;
  std::size_t size_ = 0;
  std::array<std::int64_t, kFew> few_{};
  std::vector<std::int64_t> many_;  // instead, where there are more
};

bool operator==(const Dims& a, const Dims& b);
inline bool operator!=(const Dims& a, const Dims& b) { return !(a == b); }

// "[1, 8, 8, 64]"
std::string to_string(const Dims& dims);

// The product of all; throws std::invalid_argument where it overflows.
std::int64_t element_count(const Dims& dims);

Dims dims_of(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info);

struct Tensor {
  bool known = false;  // whether it was read; data may be null where there are no elements
  const void* data = nullptr;
  Dims dims;
};

class TensorReader {
 public:
  // borrow_shape may be null.
  TensorReader(const OrtApi& api, BorrowShape borrow_shape) : api_(api), borrow_shape_(borrow_shape) {}

  // Throws std::invalid_argument where the tensor's elements are of another type than `type`.
  Tensor read(const OrtValue* value, const char* name, ElementType type) const;

  // Input `index` that is the same at each run; false where it is not, or where there is none.
  bool read_constant(const OrtKernelInfo* info, std::size_t index, const char* name, ElementType type,
                     Tensor& tensor) const;

  // Input `index` of a running kernel; false where the node has none or leaves it out.
  bool read_input(const OrtKernelContext* context, std::size_t index, const char* name, ElementType type,
                  Tensor& tensor) const;

  // The same; throws std::invalid_argument instead of returning false.
  void read_required(const OrtKernelContext* context, std::size_t index, const char* name, ElementType type,
                     Tensor& tensor) const;

 private:
  const OrtApi& api_;
  const BorrowShape borrow_shape_;
};

// Throws std::invalid_argument unless the tensor has these dimensions; `meaning` names them, like "[O]".
void check_dims(const char* name, const Dims& dims, const Dims& expected, const char* meaning);

}  // namespace rbnn::ort
