// Times of single calls, and what is said about many of them.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace rbnn::bench {

template <typename Function>
double seconds(Function&& function) {
  const auto begin = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double percentile(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace rbnn::bench
