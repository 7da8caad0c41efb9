// The operators of domain ai.rbnn, as ONNX Runtime sees them.

#pragma once

#include <string>
#include <vector>

#include "ort/c_api.h"
#include "ort/status.h"

namespace rbnn::ort {

// An OrtCustomOp that remembers its name and its owner: shape inference is not handed the function table.
struct Operator : OrtCustomOp {
  const OrtApi* api;
  BorrowShape borrow_shape;  // null where the runtime has none
  const char* name;
  bool may_skip_inputs;  // whether a node may leave out an input and have a later one
};

inline const OrtApi& api_of(const OrtCustomOp* op) { return *static_cast<const Operator*>(op)->api; }

inline BorrowShape borrow_shape_of(const OrtCustomOp* op) { return static_cast<const Operator*>(op)->borrow_shape; }

inline const char* name_of(const OrtCustomOp* op) { return static_cast<const Operator*>(op)->name; }

// An operator on the CPU without variadic inputs; its types, kernel and shapes are left to be set.
Operator basic_operator(const OrtApi& api);

// The same with its kernel, a class that is made of (api, op, info) and has api(), name() and compute(context), and
// with one output and so many inputs.
template <typename Kernel, std::size_t kInputs>
Operator operator_of(const OrtApi& api) {
  Operator op = basic_operator(api);
  op.GetInputTypeCount = [](const OrtCustomOp*) { return kInputs; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) { return std::size_t{1}; };
  op.CreateKernelV2 = [](const OrtCustomOp* self, const OrtApi* table, const OrtKernelInfo* info, void** kernel) {
    return guard(*table, name_of(self), [&] { *kernel = new Kernel(*table, self, info); });
  };
  op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
    const auto& self = *static_cast<const Kernel*>(kernel);
    return guard(self.api(), self.name(), [&] { self.compute(context); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

#define RBNN_OPERATOR(name, function)          \
  Operator make_##function(const OrtApi& api); \
  std::string describe_##function();           \
  std::string limits_of_##function();
#include "ort/operators.inc"

struct OperatorEntry {
  const char* name;
  Operator (*make)(const OrtApi& api);
  // JSON; info/info.h says which.
  std::string (*describe_attributes)();
  std::string (*describe_limits)();
};

const std::vector<OperatorEntry>& all_operators();

}  // namespace rbnn::ort
