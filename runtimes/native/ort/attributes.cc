#include "ort/attributes.h"

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/printable.h"
#include "ort/json.h"
#include "ort/status.h"

namespace rbnn::ort {
namespace {

template <typename T>
struct Choice {
  const char* name;
  T value;
};

// The strings that an attribute of one operator may have.
template <typename T>
struct Choices {
  const Choice<T>* first;
  std::size_t count;

  const Choice<T>* begin() const { return first; }
  const Choice<T>* end() const { return first + count; }
};

// BinaryConv2d has the first ones, GeneralBinaryConv2d all.
constexpr std::size_t kBasicThresholds = 2, kBasicActivations = 3;
constexpr std::array<Choice<Threshold>, 3> kThresholds = {{
    {"sample_mean", Threshold::kSampleMean},
    {"zero", Threshold::kZero},
    {"per_channel", Threshold::kPerChannel},
}};
constexpr std::array<Choice<Activation>, 4> kActivations = {{
    {"none", Activation::kNone},
    {"hardtanh", Activation::kHardtanh},
    {"relu", Activation::kRelu},
    {"prelu", Activation::kPrelu},
}};
constexpr std::array<Choice<ResidualPlace>, 2> kResidualPlaces = {{
    {"before_activation", ResidualPlace::kBeforeActivation},
    {"after_activation", ResidualPlace::kAfterActivation},
}};

constexpr std::array<Choice<MapLayout>, 2> kLayouts = {{
    {"channels_first", MapLayout::kChannelsFirst},
    {"channels_last", MapLayout::kChannelsLast},
}};

template <typename T, std::size_t N>
constexpr Choices<T> first_of(const std::array<Choice<T>, N>& all, std::size_t count = N) {
  return {all.data(), count};
}

template <typename Visitor>
void for_each_of_geometry(Attributes& a, Visitor&& visit) {
  visit("channels", a.channels);
  visit("strides", a.strides);
  visit("pads", a.pads);
  visit("dilations", a.dilations);
  visit("groups", a.groups);
}

// The attributes of an operator: calls `visit(name, member)` for each, or `visit(name, member, choices)`. All that
// reads or describes them walks through this list, and a test compares it with Python's (rbnn_deploy/operators/).
template <typename Visitor>
void for_each_attribute(Convolution which, Attributes& a, Visitor&& visit) {
  const bool general = which == Convolution::kGeneral;
  for_each_of_geometry(a, visit);
  if (which == Convolution::kPacked) {
    visit("pad_value", a.pad_value);
    visit("pool", a.pool);
    return;
  }
  visit("threshold", a.threshold, first_of(kThresholds, general ? kThresholds.size() : kBasicThresholds));
  visit("activation", a.activation, first_of(kActivations, general ? kActivations.size() : kBasicActivations));
  if (!general) return;
  visit("residual", a.residual, first_of(kResidualPlaces));
  visit("pad_value", a.pad_value);
}

// The same of QuantConv2d.
template <typename Visitor>
void for_each_attribute(QuantAttributes& a, Visitor&& visit) {
  for_each_of_geometry(a.conv, visit);
  visit("layout", a.layout, first_of(kLayouts));
  visit("mean_kernel", a.mean_kernel);
  visit("mean_strides", a.mean_strides);
  visit("low", a.low);
  visit("high", a.high);
  visit("activation", a.conv.activation, first_of(kActivations, kBasicActivations));
  visit("pool_kernel", a.pool_kernel);
  visit("pool_strides", a.pool_strides);
  visit("pool_pads", a.pool_pads);
}

[[noreturn]] void refuse(const char* name, const std::string& what) {
  throw std::invalid_argument("attribute '" + std::string(name) + "' " + what);
}

[[noreturn]] void refuse_missing(const char* name, const char* kind) {
  refuse(name, "must be written on the node as " + std::string(kind) + ", but is missing or of another type");
}

// Reads a node's attributes where its kernel is made.
struct Reader {
  const OrtApi& api;
  const OrtKernelInfo* info;

  void operator()(const char* name, std::int64_t& value) const {
    if (!succeeded(api, api.KernelInfoGetAttribute_int64(info, name, &value))) refuse_missing(name, "an integer");
  }

  template <std::size_t N>
  void operator()(const char* name, std::array<std::int64_t, N>& values) const {
    std::size_t size = 0;
    if (!succeeded(api, api.KernelInfoGetAttributeArray_int64(info, name, nullptr, &size))) {
      refuse_missing(name, "a list of integers");
    }
    if (size != N) refuse(name, "must hold " + std::to_string(N) + " integers, but holds " + std::to_string(size));
    check(api.KernelInfoGetAttributeArray_int64(info, name, values.data(), &size));
  }

  template <typename T>
  void operator()(const char* name, T& value, const Choices<T>& choices) const {
    std::size_t size = 0;
    if (!succeeded(api, api.KernelInfoGetAttribute_string(info, name, nullptr, &size)))
      refuse_missing(name, "a string");
    std::string text(size, '\0');
    check(api.KernelInfoGetAttribute_string(info, name, text.data(), &size));
    if (!text.empty()) text.pop_back();  // ONNX Runtime's terminating 0; a 0 inside is the file's
    std::string names;
    for (const Choice<T>& choice : choices) {
      if (text == choice.name) {
        value = choice.value;
        return;
      }
      names += (names.empty() ? "" : ", ") + std::string(choice.name);
    }
    refuse(name, "must be one of " + names + ", but is '" + printable(text) + "'");
  }
};

// Reads those that shape inference needs: all lists of integers, and the layout. `complete` becomes false where one is
// missing or wrong.
struct GeometryReader {
  const OrtApi& api;
  const OrtShapeInferContext* context;
  bool complete = true;

  template <std::size_t N>
  void operator()(const char* name, std::array<std::int64_t, N>& values) {
    const OrtOpAttr* attribute = nullptr;
    std::size_t bytes = 0;
    complete = complete && succeeded(api, api.ShapeInferContext_GetAttribute(context, name, &attribute)) &&
               attribute != nullptr &&
               succeeded(api, api.ReadOpAttr(attribute, kInts, values.data(), sizeof(values), &bytes)) &&
               bytes == sizeof(values);
  }

  void operator()(const char*, std::int64_t&) {}

  void operator()(const char* name, MapLayout& layout, const Choices<MapLayout>& choices) {
    const OrtOpAttr* attribute = nullptr;
    std::array<char, 32> text{};  // longer than any choice; ONNX Runtime refuses to write more
    std::size_t bytes = 0;
    complete = complete && succeeded(api, api.ShapeInferContext_GetAttribute(context, name, &attribute)) &&
               attribute != nullptr &&
               succeeded(api, api.ReadOpAttr(attribute, kString, text.data(), text.size() - 1, &bytes));
    bool known = false;
    for (const Choice<MapLayout>& choice : choices) {
      if (std::strcmp(text.data(), choice.name) != 0) continue;
      layout = choice.value;
      known = true;
    }
    complete = complete && known;
  }

  template <typename T>
  void operator()(const char*, T&, const Choices<T>&) {}
};

struct Describer {
  std::vector<std::string> attributes;

  void operator()(const char* name, std::int64_t&) { add(name, "INT", {}); }

  template <std::size_t N>
  void operator()(const char* name, std::array<std::int64_t, N>&) {
    add(name, "INTS", {json::member("count", std::to_string(N))});
  }

  template <typename T>
  void operator()(const char* name, T&, const Choices<T>& choices) {
    std::vector<std::string> names;
    for (const Choice<T>& choice : choices) names.push_back(json::quoted(choice.name));
    add(name, "STRING", {json::member("choices", json::array(names))});
  }

  void add(const char* name, const char* type, const std::vector<std::string>& more) {
    std::vector<std::string> members = {json::member("name", json::quoted(name)),
                                        json::member("type", json::quoted(type))};
    members.insert(members.end(), more.begin(), more.end());
    attributes.push_back(json::object(members));
  }
};

template <typename T>
bool is_valid(const T& attributes) {
  try {
    validate(attributes);
  } catch (const std::invalid_argument&) {
    return false;
  }
  return true;
}

}  // namespace

Attributes read_attributes(Convolution which, const OrtApi& api, const OrtKernelInfo* info) {
  Attributes attributes;
  for_each_attribute(which, attributes, Reader{api, info});
  validate(attributes);
  return attributes;
}

std::optional<Attributes> read_geometry(Convolution which, const OrtApi& api, const OrtShapeInferContext* context) {
  Attributes attributes;
  attributes.channels = 1;
  GeometryReader reader{api, context};
  for_each_attribute(which, attributes, reader);
  return reader.complete && is_valid(attributes) ? std::optional(attributes) : std::nullopt;
}

QuantAttributes read_quant_attributes(const OrtApi& api, const OrtKernelInfo* info) {
  QuantAttributes attributes;
  for_each_attribute(attributes, Reader{api, info});
  validate(attributes);
  return attributes;
}

std::optional<QuantAttributes> read_quant_geometry(const OrtApi& api, const OrtShapeInferContext* context) {
  QuantAttributes attributes;
  attributes.conv.channels = 1;
  GeometryReader reader{api, context};
  for_each_attribute(attributes, reader);
  return reader.complete && is_valid(attributes) ? std::optional(attributes) : std::nullopt;
}

std::int64_t read_channels(const OrtApi& api, const OrtKernelInfo* info) {
  Attributes attributes;
  Reader{api, info}("channels", attributes.channels);
  validate(attributes);
  return attributes.channels;
}

std::optional<std::int64_t> read_channels(const OrtApi& api, const OrtShapeInferContext* context) {
  const OrtOpAttr* attribute = nullptr;
  std::int64_t channels = 0;
  std::size_t bytes = 0;
  const bool known = succeeded(api, api.ShapeInferContext_GetAttribute(context, "channels", &attribute)) &&
                     attribute != nullptr &&
                     succeeded(api, api.ReadOpAttr(attribute, kInt, &channels, sizeof(channels), &bytes));
  return known && channels > 0 ? std::optional(channels) : std::nullopt;
}

std::string describe_channels() {
  Describer describer;
  describer.add("channels", "INT", {});
  return json::array(describer.attributes);
}

std::string describe_attributes(Convolution which) {
  Attributes attributes;
  Describer describer;
  for_each_attribute(which, attributes, describer);
  return json::array(describer.attributes);
}

std::string describe_quant_attributes() {
  QuantAttributes attributes;
  Describer describer;
  for_each_attribute(attributes, describer);
  return json::array(describer.attributes);
}

}  // namespace rbnn::ort
