// The kernel that every processor runs, and the one to read first: the loops of steps.h.

#include "kernels/quant_conv2d/kernel.h"
#include "kernels/quant_conv2d/steps.h"

namespace rbnn {
namespace {

constexpr std::size_t kLanes = 8;

}  // namespace

const QuantKernel quant_portable = {kLanes,
                                    Storage::kShort,
                                    /*per_word=*/1,
                                    quantise_values<std::int16_t>,
                                    quantise_each_plane<std::int16_t>,
                                    multiply_shorts<kLanes>,
                                    pool_row,
                                    mean_of_window};

}  // namespace rbnn
