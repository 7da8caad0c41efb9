// ai.rbnn::PopcountPeak (docs/ops/PopcountPeak.md): how fast this processor can xor, popcount and add.

#include "kernels/popcount_peak/popcount_peak.h"

#include "ort/operators.h"
#include "ort/status.h"

namespace rbnn::ort {
namespace {

struct PopcountPeakKernel {
  const OrtApi& api;
  const Isa isa;
};

OrtStatus* create(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo*, void** kernel) {
  return guard(*api, [&] { *kernel = new PopcountPeakKernel{*api, select_isa()}; });
}

OrtStatus* compute(void* kernel, OrtKernelContext* context) {
  const auto& self = *static_cast<const PopcountPeakKernel*>(kernel);
  return guard(self.api, [&] {
    const std::int64_t size = 1;
    OrtValue* output = nullptr;
    void* data = nullptr;
    check(self.api.KernelContext_GetOutput(context, 0, &size, 1, &output));
    check(self.api.GetTensorMutableData(output, &data));
    *static_cast<float*>(data) = static_cast<float>(measure_popcount_peak(self.isa) / 1e9);
  });
}

}  // namespace

Operator make_popcount_peak(const OrtApi& api) {
  Operator op = basic_operator(api);
  op.GetName = [](const OrtCustomOp*) { return "PopcountPeak"; };
  op.GetInputType = [](const OrtCustomOp*, std::size_t) -> int { return kFloat; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return std::size_t{0}; };
  op.GetOutputType = [](const OrtCustomOp*, std::size_t) -> int { return kFloat; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) { return std::size_t{1}; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<PopcountPeakKernel*>(kernel); };
  return op;
}

}  // namespace rbnn::ort
