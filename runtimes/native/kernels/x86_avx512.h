// Code that the AVX-512 kernels of several operations share. For files that are compiled for AVX-512 alone.

#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace rbnn::avx512 {

constexpr std::size_t kLanes = 16;  // of 32 bits

// How far the passes over activations prefetch; measured, and 256 to 1024 are alike.
constexpr std::size_t kFloatsAhead = 512;

// Where `count` elements behind `at` are, to prefetch: behind the end of an array, where no pointer may be computed.
template <typename T>
static inline const void* ahead(const T* at, std::size_t count) {
  return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(at) + count * sizeof(T));
}

constexpr __mmask16 first_lanes(std::size_t count) {
  return static_cast<__mmask16>(count >= kLanes ? 0xffffu : (1u << count) - 1);
}

}  // namespace rbnn::avx512
