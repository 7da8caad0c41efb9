#include "kernels/binary_conv2d/select.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace rbnn {

const std::vector<KernelEntry>& all_kernels() {
  static const std::vector<KernelEntry> kernels = {
#define RBNN_KERNEL(name, features) {&kernel_##name, features},
#include "kernels/binary_conv2d/kernels.inc"
  };
  return kernels;
}

std::string_view forced_kernel() {
  const char* const value = std::getenv(kKernelVariable);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

const Kernel& select_kernel(std::string_view name, std::uint32_t cpu) {
  std::string names;
  bool known = false;
  for (const KernelEntry& entry : all_kernels()) {
    const bool named = name.empty() || name == entry.kernel->name;
    known = known || named;
    if (!entry.available(cpu)) continue;
    if (named) return *entry.kernel;
    names += names.empty() ? "" : ", ";
    names += entry.kernel->name;
  }
  throw std::invalid_argument(std::string(kKernelVariable) + " is '" + std::string(name) + "', " +
                              (known ? "which this processor cannot execute" : "which is no kernel of this library") +
                              "; this machine has " + names);
}

}  // namespace rbnn
