// The session's thread pool, as kernels ask for it.

#pragma once

#include <cstddef>

#include "kernels/parallel.h"
#include "ort/c_api.h"

namespace rbnn::ort {

struct Pool {
  const OrtApi& api;
  const OrtKernelContext* context;
  OrtStatus* failure;

  Parallel parallel() { return {run, this}; }

  static void run(void* self, Parallel::Task task, std::size_t total, void* data) {
    Pool& pool = *static_cast<Pool*>(self);
    if (pool.failure != nullptr) return;
    if (total == 1) return task(data, 0);
    // As many batches as tasks: threads take one after the other. The default is an equal share for each thread, and
    // all would wait for the one that another program has interrupted.
    pool.failure = pool.api.KernelContext_ParallelFor(pool.context, task, total, total, data);
  }
};

}  // namespace rbnn::ort
