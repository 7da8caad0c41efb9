#pragma once

#include "kernels/isa.h"
#include "kernels/popcount_peak/kernel.h"

namespace rbnn {

const KernelTable<PopcountPeak>& popcount_peak_kernels();

// Times an instruction set's loop on the calling thread, for about a quarter of a millisecond: short enough that an
// interruption spoils few measurements of many. Returns binary multiply-accumulates per second.
double measure_popcount_peak(Isa isa);

}  // namespace rbnn
