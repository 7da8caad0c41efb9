// PackedBinaryConv2d: the layer from bits to bits (docs/ops/PackedBinaryConv2d.md).
//
// The product compares its sums while they are in registers, and writes one bit for each (kernel.h, step 5). A layer
// without pool and groups writes Y so; others write a map of a few kilobytes, and a pool is the "or" of its windows'
// bits.

#include <algorithm>
#include <cstring>

#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/binary_conv2d/round.h"
#include "kernels/bits.h"
#include "kernels/carver.h"
#include "kernels/float_environment.h"
#include "kernels/memory.h"
#include "kernels/tasks.h"

namespace rbnn {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the bytes of packed bits are copied into words as they are");

constexpr std::int32_t kBeyond = 1 << 24;                    // all sums: one such threshold is as good as another
constexpr std::size_t kBytesPerTask = std::size_t{1} << 15;  // at least, of a pass over bits

// to |= from.
inline void or_bytes(std::uint8_t* to, const std::uint8_t* from, std::size_t count) {
  std::uint64_t a, b;
  for (; count >= sizeof(a); count -= sizeof(a), to += sizeof(a), from += sizeof(a)) {
    std::memcpy(&a, to, sizeof(a));
    std::memcpy(&b, from, sizeof(b));
    a |= b;
    std::memcpy(to, &a, sizeof(a));
  }
  for (std::size_t j = 0; j < count; ++j) to[j] = static_cast<std::uint8_t>(to[j] | from[j]);
}

// Sets the bits of `from` in `to` from bit `position` on; those behind bit `count` are 0.
inline void or_bits(std::uint8_t* to, std::size_t position, const std::uint8_t* from, std::size_t count) {
  to += position / 8;
  const std::size_t shift = position % 8;
  if (shift == 0) return or_bytes(to, from, bytes_for_bits(count));
  for (std::size_t done = 0; done < count; done += 8, ++to, ++from) {
    const unsigned moved = static_cast<unsigned>(*from) << shift;
    to[0] = static_cast<std::uint8_t>(to[0] | moved);
    if (count - done > 8 - shift) to[1] = static_cast<std::uint8_t>(to[1] | moved >> 8);
  }
}

// Adds pixels [begin, end) of a row, kCount chunks each, to the pooled pixels of the windows that they are in.
// from: pixel `begin`. to: pooled pixel 0 of the row. width: of a window.
template <typename Chunk, std::size_t kCount>
void or_row(std::uint8_t* to, const std::uint8_t* from, std::size_t begin, std::size_t end, std::size_t width) {
  constexpr std::size_t kBytes = kCount * sizeof(Chunk);
  to += begin / width * kBytes;
  for (std::size_t left = width - begin % width; begin < end; left = width, to += kBytes) {
    Chunk sum[kCount], pixel[kCount];
    std::memcpy(sum, to, kBytes);
    for (const std::size_t stop = std::min(end, begin + left); begin < stop; ++begin, from += kBytes) {
      std::memcpy(pixel, from, kBytes);
      for (std::size_t k = 0; k < kCount; ++k) sum[k] = static_cast<Chunk>(sum[k] | pixel[k]);
    }
    std::memcpy(to, sum, kBytes);
  }
}

using OrRow = void (*)(std::uint8_t*, const std::uint8_t*, std::size_t, std::size_t, std::size_t);

// The function for pixels of so many bytes; null where there is none.
OrRow or_row_of(std::size_t bytes) {
  switch (bytes) {
    case 1: return or_row<std::uint8_t, 1>;
    case 2: return or_row<std::uint16_t, 1>;
    case 4: return or_row<std::uint32_t, 1>;
    case 8: return or_row<std::uint64_t, 1>;
    case 16: return or_row<std::uint64_t, 2>;
    case 32: return or_row<std::uint64_t, 4>;
    case 64: return or_row<std::uint64_t, 8>;
    default: return nullptr;
  }
}

}  // namespace

// What a run from bits to bits needs beside a Round.
struct BinaryConv2d::PackedRound {
  const Round& round;
  PackedTensors tensors;  // of the round's first sample
  std::size_t groups, group_outputs, pixel_bytes, group_bytes;
  std::size_t pool_height, pool_width, pooled_height, pooled_width;

  std::int32_t *limits, *starts, *run_starts;  // [borders][O], the tables of kernel.h's step 5; some of them empty
  std::uint8_t* bits;  // [groups][samples, pixels of a band][group_bytes]; null where they are Y itself
  OrRow or_whole_row;  // of pixels whose bits are those of one group; null for sizes without a function

  PackedRound(const Round& the_round, const PackedTensors& the_tensors, const Attributes& attributes,
              std::size_t outputs)
      : round(the_round),
        tensors(the_tensors),
        groups(static_cast<std::size_t>(attributes.groups)),
        group_outputs(outputs / groups),
        pixel_bytes(bytes_for_bits(outputs)),
        group_bytes(bytes_for_bits(group_outputs)),
        pool_height(static_cast<std::size_t>(attributes.pool[0])),
        pool_width(static_cast<std::size_t>(attributes.pool[1])),
        pooled_height(static_cast<std::size_t>(round.plan.output_height) / pool_height),
        pooled_width(static_cast<std::size_t>(round.plan.output_width) / pool_width),
        or_whole_row(groups == 1 ? or_row_of(pixel_bytes) : nullptr) {}

  bool direct() const { return groups == 1 && pool_height == 1 && pool_width == 1; }

  void carve(Carver& carver) {
    limits = carver.take<std::int32_t>(round.plan.starts.empty() ? round.plan.border_weights.size() : 0);
    starts = carver.take<std::int32_t>(round.plan.starts.size());
    run_starts = carver.take<std::int32_t>(round.plan.run_starts.size());
    const std::size_t pixels = round.samples * round.plan.band_rows * round.plan.band_columns;
    bits = direct() ? nullptr : carver.take<std::uint8_t>(groups * pixels * group_bytes);
  }

  void fill() {
    const Plan& plan = round.plan;
    const std::size_t outputs = groups * group_outputs;
    for (std::size_t border = 0; border < plan.inside.size(); ++border) {
      for (std::size_t o = 0; o < outputs; ++o) {
        const std::size_t i = border * outputs + o;
        const std::int32_t threshold = std::min(std::max(tensors.thresholds[o], -kBeyond), kBeyond);
        if (!plan.run_starts.empty()) run_starts[i] = plan.run_starts[i] - threshold;
        if (!plan.starts.empty()) {
          starts[i] = plan.starts[i] - threshold;
          continue;
        }
        const std::int32_t most = plan.inside[border] - threshold;
        const std::int32_t half = (most - (most & 1)) / 2;  // rounded down
        limits[i] = plan.border_weights[i] - half;
      }
    }
  }
};

// Brings the bytes of one row of the round's samples to where pack_row would write its bits.
void BinaryConv2d::copy_row(const Round& round, std::size_t row, Word* row_bits) const noexcept {
  const auto width = static_cast<std::size_t>(round.plan.width),
             channels = static_cast<std::size_t>(attributes_.channels);
  const std::size_t pixel_bytes = bytes_for_bits(channels);
  const std::uint8_t* from = round.packed + row * width * pixel_bytes;
  Word* const bits = row_bits + round.plan.bit_lead_words;
  std::fill_n(row_bits, round.plan.bit_row_words, Word{0});
  if (channels % 8 == 0) {
    std::memcpy(bits, from, width * pixel_bytes);
    return;
  }
  for (std::size_t w = 0; w < width; ++w) {
    for (std::size_t c = 0; c < channels; c += 8) {
      const Word bits_of_byte[] = {*from++, 0};
      copy_bits(bits, w * channels + c, bits_of_byte, 0, std::min(channels - c, std::size_t{8}));
    }
  }
}

void BinaryConv2d::run_packed(const Plan& plan, std::size_t samples, const PackedTensors& tensors,
                              const Parallel& parallel) const {
  if (samples == 0) return;
  const StandardFloats standard;
  const auto outputs = static_cast<std::size_t>(filter_.shape().outputs);
  const std::size_t sample_inputs = static_cast<std::size_t>(plan.height * plan.width) *
                                    bytes_for_bits(static_cast<std::size_t>(attributes_.channels));
  const std::size_t sample_bytes = sample_inputs + plan.band_words * sizeof(Word);
  const std::size_t together = plan.bands == 1 ? std::clamp(kRoundBytes / sample_bytes, std::size_t{1}, samples) : 1;

  Round round(plan, Tensors{}, together);
  PackedRound packed(round, tensors, attributes_, outputs);
  Carver measure(nullptr);
  round.carve(measure, attributes_, outputs);
  packed.carve(measure);
  Scratch scratch(measure.bytes());
  Carver carver(scratch.data());
  round.carve(carver, attributes_, outputs);
  packed.carve(carver);
  round.fill(attributes_, filter_.shape());
  packed.fill();
  round.packed = tensors.x;

  const std::size_t sample_outputs = packed.pooled_height * packed.pooled_width * packed.pixel_bytes;
  for (std::size_t done = 0; done < samples; done += round.samples) {
    round.samples = std::min(round.samples, samples - done);
    if (!plan.packs_while_gathering()) compute_bits(round, parallel);
    if (!packed.direct()) std::memset(packed.tensors.y, 0, round.samples * sample_outputs);
    for (std::size_t band = 0; band < plan.bands; ++band) {
      compute_windows(round, plan.band(band), parallel);
      compute_signs(packed, plan.band(band), parallel);
      if (!packed.direct()) merge_signs(packed, plan.band(band), parallel);
    }
    round.packed += round.samples * sample_inputs;
    packed.tensors.y += round.samples * sample_outputs;
  }
}

void BinaryConv2d::compute_signs(const PackedRound& packed, const Band& band, const Parallel& parallel) const {
  const Round& round = packed.round;
  Product product = product_of(round, band);
  const std::size_t pixels = round.samples * band.pixels();
  const std::size_t first = band.row_begin * static_cast<std::size_t>(round.plan.output_width) + band.column_begin;
  for_products(product, pixels, parallel, [&](Product& part, std::size_t group) noexcept {
    part.input = round.windows + group * round.plan.group_words;
    part.border_weights = packed.limits + group * packed.group_outputs;
    part.starts = packed.starts + group * packed.group_outputs;
    part.run_starts = packed.run_starts + group * packed.group_outputs;
    part.bits_stride = packed.group_bytes;
    part.bits = packed.direct() ? packed.tensors.y + first * packed.pixel_bytes
                                : packed.bits + group * pixels * packed.group_bytes;
    kernel_.multiply_bits(part);
  });
}

// Adds the bits of a band's pixels to Y. A task has pooled rows of its own.
void BinaryConv2d::merge_signs(const PackedRound& packed, const Band& band, const Parallel& parallel) const {
  const std::size_t samples = packed.round.samples, columns = band.column_end - band.column_begin;
  const std::size_t first = band.row_begin / packed.pool_height;
  const std::size_t last = std::min(packed.pooled_height, divide_up(band.row_end, packed.pool_height));
  if (first >= last) return;  // nothing but rows that fill no window
  const std::size_t end = std::min(band.column_end, packed.pooled_width * packed.pool_width);
  const std::size_t pixels = samples * band.pixels(), rows = samples * (last - first);
  const std::size_t tasks = std::min(rows, count_tasks(packed.groups * pixels * packed.group_bytes, kBytesPerTask));
  parallel_for(parallel, tasks, [&](std::size_t task) noexcept {
    for (std::size_t i = part_begin(rows, task, tasks, 1); i < part_begin(rows, task + 1, tasks, 1); ++i) {
      const std::size_t sample = i / (last - first), pooled = first + i % (last - first);
      std::uint8_t* const y =
          packed.tensors.y + (sample * packed.pooled_height + pooled) * packed.pooled_width * packed.pixel_bytes;
      const std::size_t row_end = std::min((pooled + 1) * packed.pool_height, band.row_end);
      for (std::size_t row = std::max(pooled * packed.pool_height, band.row_begin); row < row_end; ++row) {
        const std::size_t pixel = sample * band.pixels() + (row - band.row_begin) * columns;
        if (packed.or_whole_row != nullptr) {
          packed.or_whole_row(y, packed.bits + pixel * packed.pixel_bytes, band.column_begin, end, packed.pool_width);
          continue;
        }
        for (std::size_t group = 0; group < packed.groups; ++group) {
          const std::uint8_t* from = packed.bits + (group * pixels + pixel) * packed.group_bytes;
          for (std::size_t column = band.column_begin; column < end; ++column, from += packed.group_bytes) {
            or_bits(y + column / packed.pool_width * packed.pixel_bytes, group * packed.group_outputs, from,
                    packed.group_outputs);
          }
        }
      }
    }
  });
}

}  // namespace rbnn
