// ONNX Runtime calls this first, by its name: registers every operator of operators.inc.

#include <cstdio>
#include <exception>
#include <list>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "exported.h"
#include "ort/c_api.h"
#include "ort/operators.h"
#include "ort/status.h"
#include "ort/stay_loaded.h"

namespace rbnn::ort {

const std::vector<OperatorEntry>& all_operators() {
  static const std::vector<OperatorEntry> operators = {
#define RBNN_OPERATOR(name, function) {name, make_##function, describe_##function, limits_of_##function},
#include "ort/operators.inc"
  };
  return operators;
}

Operator basic_operator(const OrtApi& api) {
  Operator op{};
  op.api = &api;
  op.version = kApiVersion;
  op.GetName = [](const OrtCustomOp* self) { return name_of(self); };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };  // null: CPU
  op.GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) -> int { return kRequired; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t) -> int { return kRequired; };
  op.GetInputMemoryType = [](const OrtCustomOp*, std::size_t) -> int { return kDefaultMemory; };
  op.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  // An operator's semantics never change under its name, so later versions of the domain mean the same.
  op.GetEndVersion = [](const OrtCustomOp*) { return 0x7fffffff; };
  op.GetMayInplace = [](int**, int**) { return std::size_t{0}; };
  op.ReleaseMayInplace = [](int*, int*) {};
  op.GetAliasMap = [](int**, int**) { return std::size_t{0}; };
  op.ReleaseAliasMap = [](int*, int*) {};
  return op;
}

namespace {

struct Registered {
  const OrtApi* api;
  std::vector<Operator> operators;
};

// Sessions refer to their operators for as long as they live, so these are never freed; there is one set per ONNX
// Runtime in the process, which is nearly always one.
const std::vector<Operator>& operators_for(const OrtApi& api, BorrowShape borrow_shape) {
  static std::mutex mutex;
  static std::list<Registered>* const all = new std::list<Registered>;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const Registered& registered : *all) {
    if (registered.api == &api) return registered.operators;
  }
  std::vector<Operator> operators;
  for (const OperatorEntry& entry : all_operators()) {
    operators.push_back(entry.make(api));
    operators.back().name = entry.name;
    operators.back().borrow_shape = borrow_shape;
    // Before 1.24 (seen in 1.21 and 1.22) ONNX Runtime reads the type of each input before it calls this function, and
    // crashes where one is left out. Without the function it does not know Y's shape before it runs.
    if (operators.back().may_skip_inputs && borrow_shape == nullptr) operators.back().InferOutputShapeFn = nullptr;
  }
  return all->emplace_back(Registered{&api, std::move(operators)}).operators;
}

// The function of version 24, or null. Asking for a version that is not there writes an error to stderr, so ONNX
// Runtime's own version is read first: 1.N brings version N of the table.
BorrowShape find_borrow_shape(const OrtApiBase& base) {
  unsigned minor = 0;
  if (std::sscanf(base.GetVersionString(), "1.%u", &minor) != 1 || minor < kBorrowShapeVersion) return nullptr;
  // GetApi's result has the type of the first version; it is one table of all functions.
  const auto* const api = reinterpret_cast<const OrtApi24*>(base.GetApi(kBorrowShapeVersion));
  return api == nullptr ? nullptr : api->GetTensorElementTypeAndShapeDataReference;
}

// An ONNX Runtime without the functions that are used here. Success, with nothing registered, would let the model's own
// functions run, many times slower, and nobody would know. A status can be made by any version.
OrtStatus* refuse_old_runtime(const OrtApiBase& base) noexcept {
  const OrtApi* const oldest = base.GetApi(1);
  if (oldest == nullptr) return nullptr;  // no ONNX Runtime is like this
  try {
    const std::string sentence = "rbnn: ONNX Runtime " + std::string(base.GetVersionString()) +
                                 " is too old for the operator library, which needs 1." + std::to_string(kApiVersion) +
                                 " or newer; upgrade onnxruntime";
    return oldest->CreateStatus(kFail, sentence.c_str());
  } catch (const std::exception&) {
    return oldest->CreateStatus(kFail, "rbnn: this ONNX Runtime is too old; upgrade onnxruntime");
  }
}

}  // namespace

}  // namespace rbnn::ort

extern "C" RBNN_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* const api = base->GetApi(rbnn::ort::kApiVersion);
  if (api == nullptr) return rbnn::ort::refuse_old_runtime(*base);
  rbnn::ort::stay_loaded();
  return rbnn::ort::guard(*api, "rbnn", [&] {
    const std::vector<rbnn::ort::Operator>& operators =
        rbnn::ort::operators_for(*api, rbnn::ort::find_borrow_shape(*base));
    OrtCustomOpDomain* domain = nullptr;
    rbnn::ort::check(api->CreateCustomOpDomain("ai.rbnn", &domain));  // the session options own it from here on
    rbnn::ort::check(api->AddCustomOpDomain(options, domain));
    for (const rbnn::ort::Operator& op : operators) rbnn::ort::check(api->CustomOpDomain_Add(domain, &op));
  });
}
