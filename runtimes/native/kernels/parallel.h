// How a kernel asks its caller for threads. Kernels own none: ONNX Runtime's session pool, a test or a benchmark does.

#pragma once

#include <cstddef>
#include <type_traits>

#include "kernels/float_environment.h"

namespace rbnn {

// Runs `task(data, i)` for every i in [0, total), in any order and on any threads, and returns when all are done.
// Tasks do not throw.
struct Parallel {
  using Task = void (*)(void* data, std::size_t index);
  void (*run)(void* context, Task task, std::size_t total, void* data);
  void* context;
};

// `function(i)` for every i in [0, total), each in the standard floating-point environment, whatever its thread has.
template <typename Function>
void parallel_for(const Parallel& parallel, std::size_t total, Function&& function) {
  using Callable = std::remove_reference_t<Function>;
  static_assert(noexcept(function(std::size_t{0})), "a task must not throw: nobody could catch it");
  if (total == 0) return;
  parallel.run(
      parallel.context,
      [](void* data, std::size_t index) {
        const StandardFloats standard;
        (*static_cast<Callable*>(data))(index);
      },
      total, &function);
}

// Everything on the calling thread.
inline Parallel serial() {
  return {[](void*, Parallel::Task task, std::size_t total, void* data) {
            for (std::size_t i = 0; i < total; ++i) task(data, i);
          },
          nullptr};
}

}  // namespace rbnn
