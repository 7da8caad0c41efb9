// AVX2: eight outputs per vector.

#include "kernels/epilogue/steps.h"

namespace rbnn {

void finish_outputs_avx2(const Outputs& outputs) { finish(outputs); }

}  // namespace rbnn
