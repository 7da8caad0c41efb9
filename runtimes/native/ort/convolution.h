// What the adapters of all binary convolutions share.

#pragma once

#include <memory>
#include <string>

#include "kernels/binary_conv2d/binary_conv2d.h"
#include "ort/tensor.h"

namespace rbnn::ort {

// A layer of weights [O, KH, KW, ceil(C / groups / 8)], uint8. Throws std::invalid_argument where they are of another
// shape or do not fit the attributes.
std::unique_ptr<const BinaryConv2d> make_layer(Isa isa, const Attributes& attributes, const Tensor& weights);

// The sizes that it refuses, as JSON (info/info.h).
std::string describe_limits();

}  // namespace rbnn::ort
