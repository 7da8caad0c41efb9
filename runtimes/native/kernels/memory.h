// Memory for vectors: aligned, and reused from call to call.

#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace rbnn {

constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector

struct AlignedDelete {
  void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{kAlignment}); }
};

// An uninitialised array of trivial values.
template <typename T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete>;

template <typename T>
AlignedArray<T> make_aligned_array(std::size_t count) {
  return AlignedArray<T>(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kAlignment})));
}

// Scratch memory for one call, borrowed from a pool of the process and given back on destruction. A layer's scratch is
// large enough for malloc to map and unmap it each time, and the page faults would cost as much as the layer.
// The pool holds as many buffers as calls ever ran at once, each of the largest size that was asked of it lately: one
// that was much larger than its last kPatience calls needed is given back.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  static constexpr std::size_t kPatience = 256;  // more calls than a network has layers

  std::size_t bytes() const { return buffer_.bytes; }
  std::byte* data() { return buffer_.memory.get(); }

  struct Buffer {
    AlignedArray<std::byte> memory;
    std::size_t bytes = 0;
    std::size_t too_large = 0;  // calls, one after the other, that needed less than a quarter of it
  };

 private:
  Buffer buffer_;
};

}  // namespace rbnn
