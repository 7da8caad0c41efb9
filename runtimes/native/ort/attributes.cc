#include "ort/attributes.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "ort/status.h"

namespace rbnn::ort {
namespace {

[[noreturn]] void refuse(const char* name, const std::string& what) {
  throw std::invalid_argument("BinaryConv2d: attribute '" + std::string(name) + "' " + what);
}

[[noreturn]] void refuse_missing(const char* name, const char* kind) {
  refuse(name, "must be written on the node as " + std::string(kind) + ", but is missing or of another type");
}

std::int64_t read_int(const OrtApi& api, const OrtKernelInfo* info, const char* name) {
  std::int64_t value = 0;
  if (!succeeded(api, api.KernelInfoGetAttribute_int64(info, name, &value))) refuse_missing(name, "an integer");
  return value;
}

template <std::size_t N>
std::array<std::int64_t, N> read_ints(const OrtApi& api, const OrtKernelInfo* info, const char* name) {
  std::size_t size = 0;
  std::array<std::int64_t, N> values{};
  if (!succeeded(api, api.KernelInfoGetAttributeArray_int64(info, name, nullptr, &size))) {
    refuse_missing(name, "a list of integers");
  }
  if (size != N) refuse(name, "must hold " + std::to_string(N) + " integers, but holds " + std::to_string(size));
  check(api.KernelInfoGetAttributeArray_int64(info, name, values.data(), &size));
  return values;
}

// A file's string for a message: ONNX Runtime's callers take messages for UTF-8, and nobody reads megabytes.
std::string printable(const std::string& text) {
  constexpr std::size_t kLongest = 40;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  for (std::size_t i = 0; i < std::min(text.size(), kLongest); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte < 0x7f) {
      result += text[i];
    } else {
      result += {'\\', 'x', kDigits[byte / 16], kDigits[byte % 16]};
    }
  }
  return text.size() > kLongest ? result + "..." : result;
}

// The index of the attribute's value in `choices`.
template <std::size_t N>
std::size_t read_choice(const OrtApi& api, const OrtKernelInfo* info, const char* name, const char* const (&choices)[N]) {
  std::size_t size = 0;
  if (!succeeded(api, api.KernelInfoGetAttribute_string(info, name, nullptr, &size))) refuse_missing(name, "a string");
  std::string value(size, '\0');
  check(api.KernelInfoGetAttribute_string(info, name, value.data(), &size));
  if (!value.empty()) value.pop_back();  // ONNX Runtime's terminating 0; a 0 inside is the file's
  std::string names;
  for (std::size_t i = 0; i < N; ++i) {
    if (value == choices[i]) return i;
    names += std::string(i == 0 ? "" : ", ") + choices[i];
  }
  refuse(name, "must be one of " + names + ", but is '" + printable(value) + "'");
}

template <std::size_t N>
bool read_ints(const OrtApi& api, const OrtShapeInferContext* context, const char* name,
               std::array<std::int64_t, N>& values) {
  const OrtOpAttr* attribute = nullptr;
  std::size_t bytes = 0;
  return succeeded(api, api.ShapeInferContext_GetAttribute(context, name, &attribute)) && attribute != nullptr &&
         succeeded(api, api.ReadOpAttr(attribute, kInts, values.data(), sizeof(values), &bytes)) &&
         bytes == sizeof(values);
}

}  // namespace

Attributes read_attributes(const OrtApi& api, const OrtKernelInfo* info) {
  Attributes attributes;
  attributes.channels = read_int(api, info, "channels");
  attributes.strides = read_ints<2>(api, info, "strides");
  attributes.pads = read_ints<4>(api, info, "pads");
  attributes.dilations = read_ints<2>(api, info, "dilations");
  attributes.groups = read_int(api, info, "groups");
  static constexpr const char* kThresholds[] = {"sample_mean", "zero"};  // in the order of the enumerations
  static constexpr const char* kActivations[] = {"none", "hardtanh", "relu"};
  attributes.threshold = static_cast<Threshold>(read_choice(api, info, "threshold", kThresholds));
  attributes.activation = static_cast<Activation>(read_choice(api, info, "activation", kActivations));
  validate(attributes);
  return attributes;
}

std::optional<Attributes> read_geometry(const OrtApi& api, const OrtShapeInferContext* context) {
  Attributes attributes;
  attributes.channels = 1;
  if (!read_ints(api, context, "strides", attributes.strides) || !read_ints(api, context, "pads", attributes.pads) ||
      !read_ints(api, context, "dilations", attributes.dilations)) {
    return std::nullopt;
  }
  try {
    validate(attributes);
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
  return attributes;
}

}  // namespace rbnn::ort
