// The operators of domain ai.rbnn, as ONNX Runtime sees them.

#pragma once

#include "ort/c_api.h"

namespace rbnn::ort {

// An OrtCustomOp that remembers whose it is: shape inference is not handed the function table.
struct Operator : OrtCustomOp {
  const OrtApi* api;
};

inline const OrtApi& api_of(const OrtCustomOp* op) { return *static_cast<const Operator*>(op)->api; }

// An operator on the CPU without variadic inputs; its name, types, kernel and shapes are left to be set.
Operator basic_operator(const OrtApi& api);

Operator make_binary_conv2d(const OrtApi& api);
Operator make_library_info(const OrtApi& api);
Operator make_popcount_peak(const OrtApi& api);

}  // namespace rbnn::ort
