// How a layer is cut into rounds and tasks, and the scratch memory of a round.

#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/carver.h"
#include "kernels/tasks.h"

namespace rbnn {

// Samples are processed in rounds whose input and windows stay in a second-level cache.
constexpr std::size_t kRoundBytes = std::size_t{1} << 20;

// Work is cut into equal tasks, each worth waking a thread for (a microsecond or more). How it is cut has no influence
// on the result: sums of rows are per row, and every output is computed on its own.
constexpr std::size_t kFloatsPerTask = std::size_t{1} << 15;  // at least, of a pass over activations
constexpr std::size_t kMacsPerTask = std::size_t{1} << 20;    // at least, of the product
constexpr std::size_t kRowsPerStep = 4;                       // row sums interleave as many
constexpr std::size_t kPixelsPerStep = 12;                    // tiles of 3, 4 and 6 pixels fill it
constexpr std::size_t kPixelsPerTask = 48;                    // at least: a task fetches its panels' weights anew
constexpr std::size_t kPanelsPerStep = 2;

// A few samples on their way through the layer.
struct BinaryConv2d::Round {
  Round(const Plan& the_plan, const Tensors& the_tensors, std::size_t count)
      : plan(the_plan), tensors(the_tensors), samples(count) {}

  const Plan& plan;
  Tensors tensors;                       // of the round's first sample
  const std::uint8_t* packed = nullptr;  // instead of tensors.x: of the first sample, [H, W, ceil(C / 8)]
  std::size_t samples;

  double* row_sums;   // [samples, H]
  float* thresholds;  // [samples]
  Word* bits;         // [samples, H, bit_row_words]; of no size where rows hold windows, which are then packed there
  Word* windows;      // [samples, band_words]
  float* residual;    // [O], for a residual of one element

  // Of GeneralBinaryConv2d; of no size where the layer has no use for them.
  float* limits;                         // [W, C], a threshold for each value of a row
  float* sums;                           // [groups][samples, pixels of a band]
  float *window_sum, *neg, *pos, *post;  // [O]
  float* zeros;                          // [O], what the product adds where the residual comes later
  float* border;                         // [kinds of border][O], what the padded taps of a window add

  Word* row_bits(std::size_t sample, std::size_t row) const {
    return bits + (sample * static_cast<std::size_t>(plan.height) + row) * plan.bit_row_words;
  }

  void carve(Carver& carver, const Attributes& attributes, std::size_t outputs) {
    const auto rows = samples * static_cast<std::size_t>(plan.height);
    row_sums = carver.take<double>(rows);
    thresholds = carver.take<float>(samples);
    bits = carver.take<Word>(plan.rows_hold_windows ? 0 : rows * plan.bit_row_words);
    windows = carver.take<Word>(samples * plan.band_words);
    residual = carver.take<float>(outputs);

    const bool slopes = attributes.activation == Activation::kPrelu, summed = tensors.window_sum.values != nullptr;
    const auto row = static_cast<std::size_t>(plan.width * attributes.channels);
    limits = carver.take<float>(attributes.threshold == Threshold::kPerChannel ? row : 0);
    const std::size_t pixels = samples * plan.band_rows * plan.band_columns;
    sums = carver.take<float>(summed ? static_cast<std::size_t>(attributes.groups) * pixels : 0);
    window_sum = carver.take<float>(summed ? outputs : 0);
    for (float** const values : {&neg, &pos, &post}) *values = carver.take<float>(slopes ? outputs : 0);
    zeros = carver.take<float>(attributes.residual == ResidualPlace::kAfterActivation ? outputs : 0);
    border = carver.take<float>(tensors.border.values != nullptr ? plan.inside.size() * outputs : 0);
  }

  // Writes what is the same for all rounds.
  void fill(const Attributes& attributes, const FilterShape& filter) {
    const auto outputs = static_cast<std::size_t>(filter.outputs);
    if (tensors.residual == nullptr || tensors.residual_is_scalar) {
      std::fill_n(residual, outputs, tensors.residual == nullptr ? 0.0f : *tensors.residual);
      tensors.residual = residual;
      tensors.residual_is_scalar = true;
    }
    if (attributes.threshold == Threshold::kPerChannel) {
      const auto channels = static_cast<std::size_t>(attributes.channels);
      for (std::size_t w = 0; w < static_cast<std::size_t>(plan.width); ++w) {
        spread(tensors.thresholds, 0.0f, channels, limits + w * channels);
      }
    }
    if (tensors.window_sum.values != nullptr) spread(tensors.window_sum, 0.0f, outputs, window_sum);
    if (attributes.activation == Activation::kPrelu) {
      spread(tensors.neg, 0.0f, outputs, neg);
      spread(tensors.pos, 1.0f, outputs, pos);
      spread(tensors.post, 0.0f, outputs, post);
    }
    if (attributes.residual == ResidualPlace::kAfterActivation) std::fill_n(zeros, outputs, 0.0f);
    if (tensors.border.values != nullptr) fill_border(filter, outputs);
  }

 private:
  // Sums, for each kind of border, what its padded taps add, in the order of the specification.
  void fill_border(const FilterShape& filter, std::size_t outputs) {
    float* total = border;
    for (const Axis::Taps& rows : plan.row_kinds) {
      for (const Axis::Taps& columns : plan.column_kinds) {
        std::fill_n(total, outputs, 0.0f);
        const float* values = tensors.border.values;
        for (std::int64_t i = 0; i < filter.height; ++i) {
          for (std::int64_t j = 0; j < filter.width; ++j) {
            const bool inside = i >= rows.begin && i < rows.end && j >= columns.begin && j < columns.end;
            for (std::size_t o = 0; !inside && o < outputs; ++o) total[o] += values[tensors.border.one ? 0 : o];
            if (!tensors.border.one) values += outputs;
          }
        }
        total += outputs;
      }
    }
  }

  static void spread(const PerChannel& from, float absent, std::size_t count, float* to) {
    if (from.values == nullptr || from.one) {
      std::fill_n(to, count, from.values == nullptr ? absent : *from.values);
    } else {
      std::copy_n(from.values, count, to);
    }
  }
};

template <typename Function>
void BinaryConv2d::for_products(const Product& product, std::size_t pixels, const Parallel& parallel,
                                Function function) const {
  const auto groups = static_cast<std::size_t>(attributes_.groups);
  const std::size_t panels = filter_.panels_per_group(), steps = divide_up(panels, kPanelsPerStep);
  const std::size_t macs = pixels * groups * product.channels * filter_.layout().words() * kWordBits;
  const std::size_t tasks = count_tasks(macs, kMacsPerTask);
  const std::size_t pixel_tasks = std::clamp(pixels / kPixelsPerTask, std::size_t{1}, tasks);
  const std::size_t panel_tasks = std::min(steps, divide_up(tasks, pixel_tasks * groups));
  parallel_for(parallel, groups * panel_tasks * pixel_tasks, [&](std::size_t task) noexcept {
    const std::size_t group = task / (panel_tasks * pixel_tasks);
    const std::size_t pixel_task = task % pixel_tasks, panel_task = task / pixel_tasks % panel_tasks;
    Product part = product;
    part.pixel_begin = part_begin(pixels, pixel_task, pixel_tasks, kPixelsPerStep);
    part.pixel_end = part_begin(pixels, pixel_task + 1, pixel_tasks, kPixelsPerStep);
    part.panel_begin = part_begin(panels, panel_task, panel_tasks, kPanelsPerStep);
    part.panel_end = part_begin(panels, panel_task + 1, panel_tasks, kPanelsPerStep);
    part.panels = filter_.group_panels(group);
    function(part, group);
  });
}

}  // namespace rbnn
