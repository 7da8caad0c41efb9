// The attributes of a convolution's node, from ONNX Runtime's two places to ask for them.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/binary_conv2d/geometry.h"
#include "kernels/quant_conv2d/geometry.h"
#include "ort/c_api.h"

namespace rbnn::ort {

enum class Convolution { kBasic, kGeneral, kPacked };  // BinaryConv2d, GeneralBinaryConv2d, PackedBinaryConv2d

// Reads and validates them all. Throws std::invalid_argument that names the attribute that is missing or wrong.
Attributes read_attributes(Convolution which, const OrtApi& api, const OrtKernelInfo* info);

// The attributes that decide the output's shape: strides, pads, dilations, and pool where there is one. Nothing where
// one is missing or wrong: shape inference stays silent, and read_attributes names the fault when the session is made.
std::optional<Attributes> read_geometry(Convolution which, const OrtApi& api, const OrtShapeInferContext* context);

// Names, types and values of the attributes, as JSON (info/info.h).
std::string describe_attributes(Convolution which);

// The same of QuantConv2d. Its output's shape depends on its layout, mean and pool, too.
QuantAttributes read_quant_attributes(const OrtApi& api, const OrtKernelInfo* info);
std::optional<QuantAttributes> read_quant_geometry(const OrtApi& api, const OrtShapeInferContext* context);
std::string describe_quant_attributes();

// The same of UnpackSigns, whose one attribute is `channels`.
std::int64_t read_channels(const OrtApi& api, const OrtKernelInfo* info);
std::optional<std::int64_t> read_channels(const OrtApi& api, const OrtShapeInferContext* context);
std::string describe_channels();

}  // namespace rbnn::ort
