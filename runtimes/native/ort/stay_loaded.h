// Keeps this library in memory until the process ends.
//
// ONNX Runtime unloads it with the last session that uses it, and loads it again for the next one. Sessions may still
// run at the process's exit, so what they share (scratch memory, operators) is never freed, and each such round would
// leak it; kept in memory, there is one of each per process. ELF has a flag for this in the file (CMakeLists.txt).

#pragma once

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#endif

namespace rbnn::ort {

inline void stay_loaded() noexcept {
#if defined(_WIN32)
  static const char here = 0;
  HMODULE module;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN, &here, &module);
#endif
}

}  // namespace rbnn::ort
