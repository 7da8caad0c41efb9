#include "kernels/memory.h"

#include <mutex>
#include <utility>
#include <vector>

namespace rbnn {
namespace {

struct Pool {
  std::mutex mutex;
  std::vector<Scratch::Buffer> buffers;
};

// Never destroyed: a session may still be running on another thread while the process exits.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

}  // namespace

Scratch::Scratch(std::size_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(pool().mutex);
    auto& buffers = pool().buffers;
    if (!buffers.empty()) {
      buffer_ = std::move(buffers.back());
      buffers.pop_back();
    }
  }
  buffer_.too_large = bytes < buffer_.bytes / 4 ? buffer_.too_large + 1 : 0;
  if (buffer_.bytes < bytes || buffer_.too_large > kPatience) {
    buffer_ = Buffer{};  // give the old memory back before asking for more
    buffer_ = Buffer{make_aligned_array<std::byte>(bytes), bytes, 0};
  }
}

Scratch::~Scratch() {
  try {
    const std::lock_guard<std::mutex> lock(pool().mutex);
    pool().buffers.push_back(std::move(buffer_));
  } catch (...) {  // no memory to remember the buffer: it is freed instead
  }
}

}  // namespace rbnn
