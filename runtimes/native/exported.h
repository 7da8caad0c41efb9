// RBNN_EXPORT marks the functions that the library shows to others; all that it does not mark stays inside.

#pragma once

#if defined(_WIN32)
#define RBNN_EXPORT __declspec(dllexport)
#else
#define RBNN_EXPORT __attribute__((visibility("default")))
#endif
