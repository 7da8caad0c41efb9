#include "adapter/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace rbnn::test {
namespace {

std::atomic<std::size_t> count{0};
thread_local int uncounted = 0;

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (uncounted == 0) ++count;
  // aligned_alloc wants a multiple of the alignment.
  void* const memory = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

std::size_t allocations() { return count; }

Uncounted::Uncounted() { ++uncounted; }
Uncounted::~Uncounted() { --uncounted; }

}  // namespace rbnn::test

// All other forms of new and delete call these.
void* operator new(std::size_t bytes) { return rbnn::test::allocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return rbnn::test::allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
