// ai.rbnn::LibraryInfo (docs/ops/LibraryInfo.md): what this library is and which kernel it runs, as JSON.

#include <cstring>
#include <string>

#include "kernels/cpu.h"
#include "kernels/isa.h"
#include "ort/operators.h"
#include "ort/status.h"

namespace rbnn::ort {
namespace {

// Names of kernels and features are identifiers and the version is a number: nothing needs escaping.
std::string quoted(const std::string& text) { return '"' + text + '"'; }

std::string describe() {
  std::string kernels, features;
  for (const InstructionSet& set : instruction_sets()) {
    kernels += (kernels.empty() ? "" : ", ") + ("{\"name\": " + quoted(set.name)) +
               ", \"available\": " + (set.available() ? "true}" : "false}");
  }
  for (const std::string& name : cpu_feature_names(cpu_features())) {
    features += (features.empty() ? "" : ", ") + quoted(name);
  }
  return "{\"version\": " + quoted(RBNN_VERSION) + ", \"kernel\": " + quoted(instruction_set(select_isa()).name) +
         ", \"kernels\": [" + kernels + "], \"cpu_features\": [" + features + "]}";
}

struct LibraryInfoKernel {
  const OrtApi& api;
  std::string text;
};

OrtStatus* create(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo*, void** kernel) {
  return guard(*api, [&] { *kernel = new LibraryInfoKernel{*api, describe()}; });
}

OrtStatus* compute(void* kernel, OrtKernelContext* context) {
  const auto& self = *static_cast<const LibraryInfoKernel*>(kernel);
  return guard(self.api, [&] {
    const auto size = static_cast<std::int64_t>(self.text.size());
    OrtValue* output = nullptr;
    void* data = nullptr;
    check(self.api.KernelContext_GetOutput(context, 0, &size, 1, &output));
    check(self.api.GetTensorMutableData(output, &data));
    std::memcpy(data, self.text.data(), self.text.size());
  });
}

}  // namespace

Operator make_library_info(const OrtApi& api) {
  Operator op = basic_operator(api);
  op.GetName = [](const OrtCustomOp*) { return "LibraryInfo"; };
  op.GetInputType = [](const OrtCustomOp*, std::size_t) -> int { return kUint8; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return std::size_t{0}; };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kUint8; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) { return std::size_t{1}; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<LibraryInfoKernel*>(kernel); };
  return op;
}

}  // namespace rbnn::ort
