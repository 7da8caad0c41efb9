#include "ort/convolution.h"

#include <cstdint>
#include <stdexcept>

#include "kernels/binary_conv2d/limits.h"
#include "kernels/bits.h"
#include "ort/json.h"

namespace rbnn::ort {

std::unique_ptr<const BinaryConv2d> make_layer(Isa isa, const Attributes& attributes, const Tensor& weights) {
  const Dims& dims = weights.dims;
  const std::int64_t group_channels = attributes.channels / attributes.groups;
  const auto bytes = static_cast<std::int64_t>(bytes_for_bits(static_cast<std::size_t>(group_channels)));
  if (dims.size() != 4 || dims[3] != bytes) {
    throw std::invalid_argument("W must be [O, KH, KW, ceil(C / groups / 8)] with a last dimension of " +
                                std::to_string(bytes) + ", but is " + to_string(dims));
  }
  return std::make_unique<const BinaryConv2d>(isa, attributes, FilterShape{dims[0], dims[1], dims[2]},
                                              static_cast<const std::uint8_t*>(weights.data));
}

std::string describe_limits() {
  const auto member = [](const char* name, auto value) { return json::member(name, std::to_string(value)); };
  return json::object({member("largest_size", kLargestSize), member("sum_limit", kSumLimit),
                       member("map_pixels", kMapPixels), member("map_growth", kMapGrowth),
                       member("window_budget", kWindowBudget)});
}

}  // namespace rbnn::ort
