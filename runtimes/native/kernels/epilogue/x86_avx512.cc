// AVX-512: the loop with its masks.

#include "kernels/epilogue/steps.h"

namespace rbnn {

void finish_outputs_avx512_vpopcntdq(const Outputs& outputs) { finish(outputs); }

}  // namespace rbnn
