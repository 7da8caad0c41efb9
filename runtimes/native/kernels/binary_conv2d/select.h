// Which kernel of kernels.inc runs.

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/binary_conv2d/kernel.h"
#include "kernels/cpu.h"

namespace rbnn {

#define RBNN_KERNEL(name, features) extern const Kernel kernel_##name;
#include "kernels/binary_conv2d/kernels.inc"

struct KernelEntry {
  const Kernel* kernel;
  std::uint32_t features;

  bool available(std::uint32_t cpu = cpu_features()) const { return (features & ~cpu) == 0; }
};

// The kernels that this library was built with, best first.
const std::vector<KernelEntry>& all_kernels();

// The environment variable that names the kernel to use; it is read anew each time. Empty means the best one.
constexpr const char* kKernelVariable = "RBNN_KERNEL";
std::string_view forced_kernel();

// The best kernel that `cpu` can execute, or the one called `name`. Throws std::invalid_argument, with the names that
// there are, where no kernel is called so or the processor cannot execute it: never another kernel than asked for.
const Kernel& select_kernel(std::string_view name = forced_kernel(), std::uint32_t cpu = cpu_features());

}  // namespace rbnn
