// Facts about this library as plain C functions, for ctypes (runtimes/library.py): no session is needed to ask, and no
// user's session carries an operator for it.

#pragma once

#include <cstddef>

#include "exported.h"

extern "C" {

// Writes one JSON object into `text`, cut off at `size` bytes, of which the last is a 0. Returns the length of the
// whole without the 0, as snprintf does, or 0 where memory is short. `text` may be null if `size` is 0. ASCII. The
// members:
//
//   version       string   version of rbnn-deploy that the library was built from
//   kernel        string   the instruction set that a session made now would use, RBNN_KERNEL included; null
//                          where RBNN_KERNEL names one that there is not, and then
//   error         string   is the sentence that says so; else null
//   kernels       array    {"name", "available"}: the instruction sets that the library was built for, best first;
//                          available: this processor can execute it
//   cpu_features  array    names of the features that were detected, of those that kernels ask for
//   operators     object   of each operator its attributes, in order: {"name", "type"}, where type is ONNX's, and
//                          "count" of integers or "choices" of a string
//   limits        object   of each operator the sizes that bound it, integers: for a convolution those of
//                          kernels/binary_conv2d/limits.h, and the bytes of windows that it gathers at a time
//
// Readers ignore members that they do not know.
RBNN_EXPORT std::size_t rbnn_library_info(char* text, std::size_t size) noexcept;

// Measures how many binary multiply-accumulates per second one thread could do with the chosen instruction set if it
// had nothing else to do (kernels/popcount_peak/), for a quarter of a millisecond. NaN where RBNN_KERNEL is refused.
RBNN_EXPORT double rbnn_popcount_peak() noexcept;

}  // extern "C"
