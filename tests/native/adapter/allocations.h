// Counts what operator new hands out, of this whole program.

#pragma once

#include <cstddef>

namespace rbnn::test {

// So far, but for those of an `Uncounted` scope.
std::size_t allocations();

// What this thread allocates in this scope is not counted: it belongs to the test, or to the runtime that it plays.
class Uncounted {
 public:
  Uncounted();
  ~Uncounted();
  Uncounted(const Uncounted&) = delete;
  Uncounted& operator=(const Uncounted&) = delete;
};

}  // namespace rbnn::test
