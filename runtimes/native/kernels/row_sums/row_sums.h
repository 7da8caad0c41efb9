#pragma once

#include "kernels/isa.h"
#include "kernels/row_sums/kernel.h"

namespace rbnn {

const KernelTable<RowSums>& row_sums_kernels();

}  // namespace rbnn
