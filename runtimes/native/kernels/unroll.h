// Unrolls the next loop wholly: arrays that it walks through live in registers only then, and GCC's own limits stop it
// short of that.

#pragma once

#if defined(__clang__)
#define RBNN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RBNN_UNROLL _Pragma("GCC unroll 16")
#endif
