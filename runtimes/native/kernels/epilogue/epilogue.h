#pragma once

#include "kernels/epilogue/kernel.h"
#include "kernels/isa.h"

namespace rbnn {

const KernelTable<FinishOutputs>& epilogue_kernels();

}  // namespace rbnn
