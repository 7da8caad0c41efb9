#include "kernels/row_sums/row_sums.h"

namespace rbnn {

const KernelTable<RowSums>& row_sums_kernels() {
  static const KernelTable<RowSums> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, row_sums_##isa},
#include "kernels/row_sums/kernels.inc"
  };
  return kernels;
}

}  // namespace rbnn
