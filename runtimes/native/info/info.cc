#include "info/info.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/isa.h"
#include "kernels/popcount_peak/popcount_peak.h"
#include "ort/json.h"
#include "ort/operators.h"

namespace rbnn {
namespace {

std::string describe() {
  std::string kernel = "null", error = "null";
  try {
    kernel = json::quoted(instruction_set(select_isa()).name);
  } catch (const std::invalid_argument& refusal) {
    error = json::quoted(refusal.what());
  }
  std::vector<std::string> kernels, features, operators, limits;
  for (const InstructionSet& set : instruction_sets()) {
    kernels.push_back(json::object(
        {json::member("name", json::quoted(set.name)), json::member("available", set.available() ? "true" : "false")}));
  }
  for (const std::string& name : cpu_feature_names(cpu_features())) features.push_back(json::quoted(name));
  for (const ort::OperatorEntry& entry : ort::all_operators()) {
    operators.push_back(json::member(entry.name, entry.describe_attributes()));
    limits.push_back(json::member(entry.name, entry.describe_limits()));
  }
  return json::object({json::member("version", json::quoted(RBNN_VERSION)), json::member("kernel", kernel),
                       json::member("error", error), json::member("kernels", json::array(kernels)),
                       json::member("cpu_features", json::array(features)),
                       json::member("operators", json::object(operators)),
                       json::member("limits", json::object(limits))});
}

}  // namespace
}  // namespace rbnn

extern "C" {

std::size_t rbnn_library_info(char* text, std::size_t size) noexcept {
  try {
    const std::string info = rbnn::describe();
    if (size != 0) {
      const std::size_t copied = std::min(info.size(), size - 1);
      std::memcpy(text, info.data(), copied);
      text[copied] = '\0';
    }
    return info.size();
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

double rbnn_popcount_peak() noexcept {
  try {
    return rbnn::measure_popcount_peak(rbnn::select_isa());
  } catch (const std::exception&) {
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // extern "C"
