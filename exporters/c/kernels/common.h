/* Every float step is rounded on its own, so that all compilers and processors compute the same bits. */

#include <float.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__FAST_MATH__)
#error "compile without -ffast-math: it changes the results"
#endif
#if FLT_RADIX != 2 || FLT_MANT_DIG != 24 || DBL_MANT_DIG != 53
#error "float and double must be IEEE 754 binary32 and binary64 (avr-gcc: -mdouble=64)"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "float must be computed as float (32-bit x86: -msse2 -mfpmath=sse)"
#endif
#if INT_MAX < 2147483647
#error "int must have 32 bits"
#endif

/* No fused multiply-add: it rounds once where two roundings are specified. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF /* clang: not with -ffp-contract=fast, which overrides it */
#endif

/* Bits are packed into words, least significant bit first. */
#define WORD_BITS 32

/* A function that is compiled anew in each of its callers, with what they know of its arguments. */
#if defined(__GNUC__)
#define INLINED static inline __attribute__((always_inline))
#else
#define INLINED static
#endif
