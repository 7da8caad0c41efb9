#include "adapter/fake_runtime.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "adapter/allocations.h"

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);

struct OrtCustomOpDomain {
  std::vector<const OrtCustomOp*> operators;
};

struct OrtSessionOptions {
  const OrtCustomOpDomain* domain;
};

namespace rbnn::test {
namespace {

std::atomic<std::size_t> objects{0};

OrtStatus* failed(int code, const char* message) {
  const Uncounted uncounted;
  return new OrtStatus{code, message};
}

// Takes a status's sentence, and frees it.
std::string sentence(OrtStatus* status) {
  const Uncounted uncounted;
  if (status == nullptr) return {};
  std::string message = status->message;
  delete status;
  return message;
}

template <typename T>
const T* attribute(const OrtKernelInfo* info, const char* name) {
  const auto found = info->attributes.find(name);
  return found == info->attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

OrtStatus* get_string(const OrtKernelInfo* info, const char* name, char* out, std::size_t* size) {
  const auto* const text = attribute<std::string>(info, name);
  if (text == nullptr) return failed(rbnn::ort::kFail, "no such string");
  if (out != nullptr) std::memcpy(out, text->c_str(), text->size() + 1);
  *size = text->size() + 1;
  return nullptr;
}

OrtStatus* get_integer(const OrtKernelInfo* info, const char* name, std::int64_t* out) {
  const auto* const value = attribute<std::int64_t>(info, name);
  if (value == nullptr) return failed(rbnn::ort::kFail, "no such integer");
  *out = *value;
  return nullptr;
}

OrtStatus* get_integers(const OrtKernelInfo* info, const char* name, std::int64_t* out, std::size_t* size) {
  const auto* const values = attribute<std::vector<std::int64_t>>(info, name);
  if (values == nullptr) return failed(rbnn::ort::kFail, "no such integers");
  if (out != nullptr) std::copy(values->begin(), values->end(), out);
  *size = values->size();
  return nullptr;
}

OrtStatus* get_constant(const OrtKernelInfo* info, std::size_t index, int* is_constant, const OrtValue** out) {
  *out = index < info->constants.size() ? info->constants[index] : nullptr;
  *is_constant = *out != nullptr;
  return nullptr;
}

OrtStatus* get_info(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
  const Uncounted uncounted;
  ++objects;
  *out = new OrtTensorTypeAndShapeInfo{value->type, value->dims};
  return nullptr;
}

OrtStatus* get_input(const OrtKernelContext* context, std::size_t index, const OrtValue** out) {
  *out = context->inputs[index];
  return nullptr;
}

// The output's memory is there already: a runtime plans it.
OrtStatus* get_output(OrtKernelContext* context, std::size_t, const std::int64_t* dims, std::size_t count,
                      OrtValue** out) {
  const std::vector<std::int64_t>& planned = context->output.dims;
  if (!std::equal(dims, dims + count, planned.begin(), planned.end())) {
    return failed(rbnn::ort::kFail, "the output has another shape");
  }
  *out = &context->output;
  return nullptr;
}

OrtStatus* parallel_tasks(const OrtKernelContext* context, void (*task)(void*, std::size_t), std::size_t total,
                          std::size_t, void* data) {
  if (context->fails) return failed(rbnn::ort::kFail, "no threads today");
  const Uncounted uncounted;
  context->parallel.run(context->parallel.context, task, total, data);
  return nullptr;
}

OrtStatus* borrow_shape(const OrtValue* value, int* type, const std::int64_t** dims, std::size_t* count) {
  *type = value->type;
  *dims = value->dims.data();
  *count = value->dims.size();
  return nullptr;
}

// A table of version 24; a runtime of version 18 has its beginning.
struct Table {
  OrtApi functions{};
  rbnn::ort::Unused unused[414 - sizeof(OrtApi) / sizeof(void*)]{};
  rbnn::ort::BorrowShape borrow = nullptr;
};
static_assert(offsetof(Table, borrow) == offsetof(OrtApi24, GetTensorElementTypeAndShapeDataReference));

Table make_table(Version version) {
  Table table;
  OrtApi& api = table.functions;
  api.CreateStatus = failed;
  api.ReleaseStatus = [](OrtStatus* status) { sentence(status); };
  api.CreateCustomOpDomain = [](const char*, OrtCustomOpDomain** out) -> OrtStatus* {
    *out = new OrtCustomOpDomain;
    return nullptr;
  };
  api.AddCustomOpDomain = [](OrtSessionOptions* options, OrtCustomOpDomain* domain) -> OrtStatus* {
    options->domain = domain;
    return nullptr;
  };
  api.CustomOpDomain_Add = [](OrtCustomOpDomain* domain, const OrtCustomOp* op) -> OrtStatus* {
    domain->operators.push_back(op);
    return nullptr;
  };
  api.GetTensorMutableData = [](OrtValue* value, void** out) -> OrtStatus* {
    *out = value->data;
    return nullptr;
  };
  api.GetTensorTypeAndShape = get_info;
  api.ReleaseTensorTypeAndShapeInfo = [](OrtTensorTypeAndShapeInfo* info) { delete info; };
  api.GetTensorElementType = [](const OrtTensorTypeAndShapeInfo* info, int* out) -> OrtStatus* {
    *out = info->type;
    return nullptr;
  };
  api.GetDimensionsCount = [](const OrtTensorTypeAndShapeInfo* info, std::size_t* out) -> OrtStatus* {
    *out = info->dims.size();
    return nullptr;
  };
  api.GetDimensions = [](const OrtTensorTypeAndShapeInfo* info, std::int64_t* dims, std::size_t count) -> OrtStatus* {
    std::copy_n(info->dims.begin(), count, dims);
    return nullptr;
  };
  api.KernelInfoGetAttribute_int64 = get_integer;
  api.KernelInfoGetAttribute_string = get_string;
  api.KernelInfoGetAttributeArray_int64 = get_integers;
  api.KernelInfoGetConstantInput_tensor = get_constant;
  api.KernelContext_GetInputCount = [](const OrtKernelContext* context, std::size_t* out) -> OrtStatus* {
    *out = context->inputs.size();
    return nullptr;
  };
  api.KernelContext_GetInput = get_input;
  api.KernelContext_GetOutput = get_output;
  api.KernelContext_ParallelFor = parallel_tasks;
  if (version == Version::k24) table.borrow = borrow_shape;
  return table;
}

template <Version kVersion>
OrtApiBase make_base() {
  constexpr bool kNew = kVersion == Version::k24;
  static const Table table = make_table(kVersion);
  return {[](std::uint32_t version) { return version <= (kNew ? 24u : 18u) ? &table.functions : nullptr; },
          [] { return kNew ? "1.24.1" : "1.18.0"; }};
}

OrtApiBase base_of(Version version) {
  return version == Version::k24 ? make_base<Version::k24>() : make_base<Version::k18>();
}

const char* name_of(Threshold value) { return value == Threshold::kZero ? "zero" : "sample_mean"; }

const char* name_of(Activation value) {
  return value == Activation::kNone ? "none" : value == Activation::kRelu ? "relu" : "hardtanh";
}

// The inputs of a case, in the operator's order.
std::array<OrtValue, 5> values_of(const Case& c) {
  const std::int64_t bytes = (c.attributes.channels / c.attributes.groups + 7) / 8, outputs = c.filter.outputs;
  // The interface has no constant data; kernels only read inputs.
  const auto data = [](const auto& values) { return const_cast<void*>(static_cast<const void*>(values.data())); };
  std::vector<std::int64_t> r_dims = {c.samples, c.output_height(), c.output_width(), outputs};
  if (c.residual == Case::Residual::kOne) r_dims = {1};
  return {{{ort::kFloat, {c.samples, c.height, c.width, c.attributes.channels}, data(c.x)},
           {ort::kUint8, {outputs, c.filter.height, c.filter.width, bytes}, data(c.w)},
           {ort::kFloat, {outputs}, data(c.scale)},
           {ort::kFloat, {outputs}, data(c.bias)},
           {ort::kFloat, r_dims, data(c.r)}}};
}

}  // namespace

const OrtCustomOp& registered_operator(Version version) {
  const OrtApiBase runtime = base_of(version);
  OrtSessionOptions options{};
  if (OrtStatus* const status = RegisterCustomOps(&options, &runtime)) throw std::runtime_error(sentence(status));
  const OrtCustomOp& result = *options.domain->operators.at(0);
  delete options.domain;
  return result;
}

std::size_t shape_objects() { return objects; }

Node::Node(Version version, const Case& c, Constants constants)
    : operator_(registered_operator(version)), values_(values_of(c)) {
  const Attributes& a = c.attributes;
  const auto list = [](const auto& values) { return std::vector<std::int64_t>(values.begin(), values.end()); };
  info_.attributes = {{"channels", a.channels},
                      {"strides", list(a.strides)},
                      {"pads", list(a.pads)},
                      {"dilations", list(a.dilations)},
                      {"groups", a.groups},
                      {"threshold", std::string(name_of(a.threshold))},
                      {"activation", std::string(name_of(a.activation))}};
  info_.constants.assign(4, nullptr);
  if (constants == Constants::kAll) info_.constants = {nullptr, &values_[1], &values_[2], &values_[3]};
  refusal_ =
      sentence(operator_.CreateKernelV2(&operator_, base_of(version).GetApi(operator_.version), &info_, &kernel_));
}

Node::~Node() {
  if (kernel_ != nullptr) operator_.KernelDestroy(kernel_);
}

Node::Run Node::prepare(const Case& c, const Parallel& parallel) const {
  Run run{values_of(c), {}, {}};
  const std::vector<std::int64_t> dims = {c.samples, c.output_height(), c.output_width(), c.filter.outputs};
  run.y.resize(static_cast<std::size_t>(dims[0] * dims[1] * dims[2] * dims[3]));
  run.context.output = {ort::kFloat, dims, run.y.data()};
  run.context.parallel = parallel;
  const std::size_t count = c.residual == Case::Residual::kAbsent ? 4 : 5;
  run.context.inputs.resize(count);
  return run;
}

std::string Node::compute(Run& run) const {
  for (std::size_t i = 0; i < run.context.inputs.size(); ++i) run.context.inputs[i] = &run.inputs[i];
  return sentence(operator_.KernelComputeV2(kernel_, &run.context));
}

}  // namespace rbnn::test
