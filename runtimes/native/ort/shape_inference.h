// The shapes of the operators' outputs, as far as it is known before anything runs.

#pragma once

#include "ort/c_api.h"

namespace rbnn::ort {

OrtStatus* infer_binary_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context);
OrtStatus* infer_packed_binary_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context);
OrtStatus* infer_pack_signs(const OrtCustomOp* op, OrtShapeInferContext* context);
OrtStatus* infer_unpack_signs(const OrtCustomOp* op, OrtShapeInferContext* context);
OrtStatus* infer_quant_conv2d(const OrtCustomOp* op, OrtShapeInferContext* context);

}  // namespace rbnn::ort
