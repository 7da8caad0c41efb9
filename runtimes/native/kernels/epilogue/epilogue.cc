#include "kernels/epilogue/epilogue.h"

namespace rbnn {

const KernelTable<FinishOutputs>& epilogue_kernels() {
  static const KernelTable<FinishOutputs> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, finish_outputs_##isa},
#include "kernels/epilogue/kernels.inc"
  };
  return kernels;
}

}  // namespace rbnn
