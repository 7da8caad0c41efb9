/* A path as ONNX Runtime takes it: char on most systems, wchar_t on Windows. */

#pragma once

#include <onnxruntime_c_api.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#endif

enum { LONGEST_PATH = 4096 };

/* Converts a path of the command line. converted: [LONGEST_PATH], which the result may point to. Returns an empty path,
   which ONNX Runtime refuses, where there is no room. */
static inline const ORTCHAR_T* ort_path(const char* path, ORTCHAR_T* converted) {
#ifdef _WIN32
  if (MultiByteToWideChar(CP_ACP, 0, path, -1, converted, LONGEST_PATH) == 0) {
    converted[0] = 0;
  }
  return converted;
#else
  (void)converted;
  return path;
#endif
}
