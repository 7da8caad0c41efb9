// NEON: four outputs per vector; every 64-bit Arm has it, so no flag is needed.

#include "kernels/epilogue/steps.h"

namespace rbnn {

void finish_outputs_neon(const Outputs& outputs) { finish(outputs); }

}  // namespace rbnn
