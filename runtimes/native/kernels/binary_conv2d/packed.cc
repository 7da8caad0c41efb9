// PackedBinaryConv2d: the layer from bits to bits (docs/ops/PackedBinaryConv2d.md).
//
// The product is that of all other layers, with scale 1 and bias -T: its outputs acc - T are floats whose signs are
// exact, as |acc| < 2^24. A few of them at a time are written to scratch memory that stays in a first-level cache, and
// packed from there. A pool is the "or" of its window's bits, so pixels are added to Y in any order and in any parts.

#include <algorithm>
#include <cstring>
#include <limits>

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

constexpr std::size_t kFloatsAtOnce = std::size_t{1} << 13;   // in scratch memory, of one task
constexpr std::size_t kWeightBytes = std::size_t{20} * 1024;  // of the panels that all pixels of a task pass by
constexpr std::size_t kMostPanelsAtOnce = 8;
constexpr std::uint32_t kNoColumn = std::numeric_limits<std::uint32_t>::max();

// Sets the bits of `word`, of which only the lowest `count` may be 1, in `to` from bit `position` on.
inline void or_bits(std::uint8_t* to, std::size_t position, Word word, std::size_t count) {
  std::uint8_t* const bytes = to + position / 8;
  if (position % 8 == 0 && count == kWordBits) {
    Word there;
    std::memcpy(&there, bytes, sizeof(there));
    there |= word;
    std::memcpy(bytes, &there, sizeof(there));
    return;
  }
  const std::uint64_t moved = std::uint64_t{word} << position % 8;
  for (std::size_t j = 0; j < bytes_for_bits(position % 8 + count); ++j) {
    bytes[j] = static_cast<std::uint8_t>(bytes[j] | (moved >> (8 * j)));
  }
}

}  // namespace

// What a run from bits to bits needs beside a Round.
struct BinaryConv2d::PackedRound {
  PackedRound(const Round& the_round, const PackedTensors& the_tensors, const Attributes& attributes,
              std::size_t outputs)
      : round(the_round),
        tensors(the_tensors),
        pixel_bytes(bytes_for_bits(outputs)),
        pool_height(static_cast<std::size_t>(attributes.pool[0])),
        pool_width(static_cast<std::size_t>(attributes.pool[1])),
        pooled_height(static_cast<std::size_t>(round.plan.output_height) / pool_height),
        pooled_width(static_cast<std::size_t>(round.plan.output_width) / pool_width) {}

  const Round& round;
  PackedTensors tensors;  // of the round's first sample
  std::size_t pixel_bytes;
  std::size_t pool_height, pool_width, pooled_height, pooled_width;
  std::size_t panels_at_once, channels_at_once, pixels_at_once;

  float *scale, *bias;    // [O]
  std::uint32_t* column;  // [OW]: the pooled column of each column
  float* sums;            // [tasks][kFloatsAtOnce], acc - T
  Word* words;            // [tasks][words_per_task], their signs
  std::size_t words_per_task;

  void choose_sizes(const ConvKernel& kernel, const Filter& filter) {
    const std::size_t panel_bytes = filter.panel_words() * sizeof(Word);
    const std::size_t fitting = kWeightBytes / panel_bytes / kPanelsPerStep * kPanelsPerStep;
    panels_at_once = std::clamp(fitting, kPanelsPerStep, kMostPanelsAtOnce);
    channels_at_once = panels_at_once * kernel.lanes;
    pixels_at_once = kFloatsAtOnce / channels_at_once / kPixelsPerStep * kPixelsPerStep;
    words_per_task = pixels_at_once * words_for_bits(channels_at_once);
  }

  void carve(Carver& carver, std::size_t outputs) {
    scale = carver.take<float>(outputs);
    bias = carver.take<float>(outputs);
    column = carver.take<std::uint32_t>(static_cast<std::size_t>(round.plan.output_width));
    sums = carver.take<float>(kMostTasks * kFloatsAtOnce);
    words = carver.take<Word>(kMostTasks * words_per_task);
  }

  void fill(std::size_t outputs) {
    std::fill_n(scale, outputs, 1.0f);
    // Beyond all sums one threshold is as good as another, and all of these are exact in float32.
    constexpr std::int32_t kBeyond = 1 << 24;
    for (std::size_t o = 0; o < outputs; ++o) {
      bias[o] = -static_cast<float>(std::clamp(tensors.thresholds[o], -kBeyond, kBeyond));
    }
    for (std::size_t q = 0; q < static_cast<std::size_t>(round.plan.output_width); ++q) {
      const std::size_t pooled = q / pool_width;
      column[q] = pooled < pooled_width ? static_cast<std::uint32_t>(pooled) : kNoColumn;
    }
  }
};

// Brings the bytes of one row of the round's samples to where pack_row would write its bits.
void BinaryConv2d::copy_row(const Round& round, std::size_t row) const noexcept {
  const auto width = static_cast<std::size_t>(round.plan.width),
             channels = static_cast<std::size_t>(attributes_.channels);
  const std::size_t pixel_bytes = bytes_for_bits(channels);
  const std::uint8_t* from = round.packed + row * width * pixel_bytes;
  Word* const row_bits = round.bits + row * round.plan.bit_row_words;
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
  packed.choose_sizes(kernel_, filter_);
  Carver measure(nullptr);
  round.carve(measure, attributes_, outputs);
  packed.carve(measure, outputs);
  Scratch scratch(measure.bytes());
  Carver carver(scratch.data());
  round.carve(carver, attributes_, outputs);
  packed.carve(carver, outputs);
  round.fill(attributes_, filter_.shape());
  packed.fill(outputs);
  round.packed = tensors.x;

  const std::size_t sample_outputs = packed.pooled_height * packed.pooled_width * packed.pixel_bytes;
  for (std::size_t done = 0; done < samples; done += round.samples) {
    round.samples = std::min(round.samples, samples - done);
    if (!plan.packs_while_gathering()) compute_bits(round, parallel);
    std::memset(packed.tensors.y, 0, round.samples * sample_outputs);
    for (std::size_t band = 0; band < plan.bands; ++band) {
      compute_windows(round, plan.band(band), parallel);
      compute_packed(packed, plan.band(band), parallel);
    }
    round.packed += round.samples * sample_inputs;
    packed.tensors.y += round.samples * sample_outputs;
  }
}

// A task has pooled rows of its own, and so have bits of two tasks no byte in common; or it has panels of its own, of
// which the same is true where there is one group.
void BinaryConv2d::compute_packed(const PackedRound& packed, const Band& band, const Parallel& parallel) const {
  const Round& round = packed.round;
  const std::size_t pool = packed.pool_height;
  const std::size_t first = band.row_begin / pool;
  const std::size_t last = std::min(packed.pooled_height, divide_up(band.row_end, pool));
  if (first >= last) return;  // nothing but rows that fill no window
  const auto groups = static_cast<std::size_t>(attributes_.groups);
  const auto outputs = static_cast<std::size_t>(filter_.shape().outputs), group_outputs = outputs / groups;

  Product product = product_of(round, band);
  product.residual_stride = 0;
  product.lower = -std::numeric_limits<float>::infinity();
  product.upper = std::numeric_limits<float>::infinity();

  const std::size_t pixels = round.samples * band.pixels(), panels = filter_.panels_per_group();
  const std::size_t units = round.samples * (last - first), steps = divide_up(panels, packed.panels_at_once);
  const std::size_t tasks = count_tasks(pixels * outputs * filter_.layout().words() * kWordBits, kMacsPerTask);
  const std::size_t row_tasks = std::min(units, std::clamp(pixels / kPixelsPerTask, std::size_t{1}, tasks));
  const std::size_t panel_tasks = groups == 1 ? std::min(steps, tasks / row_tasks) : 1;
  parallel_for(parallel, panel_tasks * row_tasks, [&](std::size_t task) noexcept {
    const std::size_t row_task = task % row_tasks, panel_task = task / row_tasks;
    const std::size_t unit_end = part_begin(units, row_task + 1, row_tasks, 1);
    const std::size_t panel_begin = part_begin(panels, panel_task, panel_tasks, packed.panels_at_once);
    const std::size_t panel_end = part_begin(panels, panel_task + 1, panel_tasks, packed.panels_at_once);
    Product part = product;
    part.panel_begin = 0;
    part.output = packed.sums + task * kFloatsAtOnce;
    for (std::size_t group = 0; group < groups; ++group) {
      for (std::size_t panel = panel_begin; panel < panel_end; panel += packed.panels_at_once) {
        const std::size_t channel = panel * kernel_.lanes, o = group * group_outputs + channel;
        part.panels = filter_.group_panels(group, panel);
        part.panel_end = std::min(packed.panels_at_once, panel_end - panel);
        part.channels = group_outputs - channel;
        part.border_weights = round.plan.border_weights.data() + o;
        part.scale = packed.scale + o;
        part.bias = packed.bias + o;
        part.residual = round.residual + o;  // zeros
        for (std::size_t unit = part_begin(units, row_task, row_tasks, 1); unit < unit_end;) {
          const std::size_t sample = unit / (last - first), row = first + unit % (last - first);
          const std::size_t rows = std::min(unit_end - unit, last - row);
          part.input = round.windows + sample * round.plan.band_words + group * round.plan.group_words;
          compute_packed_part(packed, band, part, sample,
                              {static_cast<std::int64_t>(std::max(row * pool, band.row_begin)),
                               static_cast<std::int64_t>(std::min((row + rows) * pool, band.row_end))},
                              o);
          unit += rows;
        }
      }
    }
  });
}

// The panels of `product` and these output rows of one sample; `channel` is the first panel's first one.
void BinaryConv2d::compute_packed_part(const PackedRound& packed, const Band& band, const Product& product,
                                       std::size_t sample, Axis::Taps rows, std::size_t channel) const noexcept {
  const std::size_t columns = band.column_end - band.column_begin;
  const std::size_t channels = std::min(product.panel_end * kernel_.lanes, product.channels);
  const std::size_t pixel_words = words_for_bits(channels);
  const auto task = static_cast<std::size_t>(product.output - packed.sums) / kFloatsAtOnce;
  Word* const words = packed.words + task * packed.words_per_task;
  auto row = static_cast<std::size_t>(rows.begin);
  std::size_t column = band.column_begin;
  const auto row_of_y = [&] {
    const std::size_t pooled = sample * packed.pooled_height + row / packed.pool_height;
    return packed.tensors.y + pooled * packed.pooled_width * packed.pixel_bytes;
  };
  std::uint8_t* y = row_of_y();

  const std::size_t end = (static_cast<std::size_t>(rows.end) - band.row_begin) * columns;
  for (std::size_t begin = (row - band.row_begin) * columns; begin < end; begin += packed.pixels_at_once) {
    const std::size_t count = std::min(end - begin, packed.pixels_at_once);
    Product part = product;
    part.pixels += begin;
    part.pixels_per_sample = part.pixel_end = count;
    part.output_stride = channels;
    kernel_.multiply(part);
    if (channels % kWordBits == 0) {
      pack_signs_.one(part.output, count * channels, 0.0f, words);
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        pack_signs_.one(part.output + i * channels, channels, 0.0f, words + i * pixel_words);
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (packed.column[column] != kNoColumn) {
        std::uint8_t* const pixel = y + packed.column[column] * packed.pixel_bytes;
        for (std::size_t k = 0; k < pixel_words; ++k) {
          or_bits(pixel, channel + k * kWordBits, words[i * pixel_words + k],
                  std::min(channels - k * kWordBits, kWordBits));
        }
      }
      if (++column == band.column_end) {
        column = band.column_begin;
        ++row;
        if (row != static_cast<std::size_t>(rows.end)) y = row_of_y();
      }
    }
  }
}

}  // namespace rbnn
