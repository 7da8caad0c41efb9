// How work is cut into tasks. How it is cut has no influence on any result.

#pragma once

#include <algorithm>
#include <cstddef>

namespace rbnn {

// Enough tasks that threads finish together although another program takes one of them for a while.
constexpr std::size_t kMostTasks = 16;

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

constexpr std::size_t count_tasks(std::size_t work, std::size_t work_per_task) {
  return std::clamp(work / work_per_task, std::size_t{1}, kMostTasks);
}

// The first of `total` that belongs to part `part` of `parts`, parts being equal but for multiples of `unit`.
constexpr std::size_t part_begin(std::size_t total, std::size_t part, std::size_t parts, std::size_t unit) {
  return part == parts ? total : total * part / parts / unit * unit;
}

}  // namespace rbnn
