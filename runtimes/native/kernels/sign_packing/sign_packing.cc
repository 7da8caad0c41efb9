#include "kernels/sign_packing/sign_packing.h"

namespace rbnn {

const KernelTable<PackSigns>& sign_packing_kernels() {
  static const KernelTable<PackSigns> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, pack_signs_##isa},
#include "kernels/sign_packing/kernels.inc"
  };
  return kernels;
}

}  // namespace rbnn
