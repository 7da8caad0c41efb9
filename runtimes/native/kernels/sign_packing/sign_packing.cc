#include "kernels/sign_packing/sign_packing.h"

namespace rbnn {

const KernelTable<SignPacking>& sign_packing_kernels() {
  static const KernelTable<SignPacking> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, sign_packing_##isa},
#include "kernels/sign_packing/kernels.inc"
  };
  return kernels;
}

}  // namespace rbnn
