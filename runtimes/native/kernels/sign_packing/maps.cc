#include "kernels/sign_packing/maps.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/bits.h"
#include "kernels/tasks.h"

namespace rbnn {
namespace {

constexpr std::size_t kFloatsPerTask = std::size_t{1} << 15;  // at least: worth waking a thread for
constexpr std::size_t kWordsAtOnce = 64;                      // on the stack

template <typename Function>
void for_pixels(std::size_t pixels, std::size_t channels, const Parallel& parallel, Function function) {
  const std::size_t tasks = std::min(pixels, count_tasks(pixels * channels, kFloatsPerTask));
  parallel_for(parallel, tasks, [&](std::size_t task) noexcept {
    function(part_begin(pixels, task, tasks, 1), part_begin(pixels, task + 1, tasks, 1));
  });
}

using Octet = std::array<float, 8>;

constexpr std::array<Octet, 256> signs_of_bytes() {
  std::array<Octet, 256> signs{};
  for (std::size_t byte = 0; byte < signs.size(); ++byte) {
    for (std::size_t i = 0; i < 8; ++i) signs[byte][i] = (byte >> i & 1) != 0 ? 1.0f : -1.0f;
  }
  return signs;
}

constexpr std::array<Octet, 256> kSigns = signs_of_bytes();

}  // namespace

void pack_map(const SignPacking& packing, const float* x, std::size_t pixels, std::size_t channels,
              const float* thresholds, bool one_threshold, std::uint8_t* y, const Parallel& parallel) {
  const std::size_t pixel_bytes = bytes_for_bits(channels);
  // Pixels without bits behind their last channel are packed as one row where the threshold is one.
  const bool dense = one_threshold && channels % 8 == 0;
  for_pixels(pixels, channels, parallel, [&](std::size_t begin, std::size_t end) noexcept {
    const std::size_t rows = dense ? 1 : end - begin, length = dense ? (end - begin) * channels : channels;
    const float* from = x + begin * channels;
    std::uint8_t* to = y + begin * pixel_bytes;
    Word words[kWordsAtOnce];
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = 0; i < length; i += kWordsAtOnce * kWordBits) {
        const std::size_t count = std::min(length - i, kWordsAtOnce * kWordBits);
        if (one_threshold) {
          packing.one(from, count, *thresholds, words);
        } else {
          packing.each(from, count, thresholds + i, words);
        }
        std::memcpy(to, words, bytes_for_bits(count));
        from += count;
        to += bytes_for_bits(count);
      }
    }
  });
}

void unpack_map(const std::uint8_t* x, std::size_t pixels, std::size_t channels, float* y, const Parallel& parallel) {
  const std::size_t pixel_bytes = bytes_for_bits(channels);
  for_pixels(pixels, channels, parallel, [&](std::size_t begin, std::size_t end) noexcept {
    const std::uint8_t* from = x + begin * pixel_bytes;
    float* to = y + begin * channels;
    for (std::size_t pixel = begin; pixel < end; ++pixel) {
      for (std::size_t c = 0; c < channels / 8; ++c, to += 8) std::memcpy(to, kSigns[*from++].data(), sizeof(Octet));
      if (channels % 8 != 0) {
        std::memcpy(to, kSigns[*from++].data(), channels % 8 * sizeof(float));
        to += channels % 8;
      }
    }
  });
}

}  // namespace rbnn
