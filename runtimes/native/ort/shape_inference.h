// The shape of BinaryConv2d's output, as far as it is known before anything runs.

#pragma once

#include "ort/c_api.h"

namespace rbnn::ort {

OrtStatus* infer_binary_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context);

}  // namespace rbnn::ort
