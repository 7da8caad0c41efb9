#pragma once

#include "kernels/isa.h"
#include "kernels/sign_packing/kernel.h"

namespace rbnn {

const KernelTable<SignPacking>& sign_packing_kernels();

}  // namespace rbnn
