#include "kernels/binary_conv2d/binary_conv2d.h"

#include <algorithm>
#include <limits>

#include "kernels/binary_conv2d/gather.h"
#include "kernels/binary_conv2d/round.h"
#include "kernels/checked.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/float_environment.h"
#include "kernels/memory.h"
#include "kernels/row_sums/row_sums.h"
#include "kernels/sign_packing/sign_packing.h"

namespace rbnn {
namespace {

// A model may take turns with a few sizes. Of large plans, only the latest is kept.
constexpr std::size_t kMostPlans = 4;
constexpr std::size_t kMostPlanBytes = std::size_t{1} << 22;

struct Bounds {
  float lower, upper;
};

// What clamps the outputs; slopes have none.
Bounds bounds_of(Activation activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {activation == Activation::kHardtanh ? -1.0f
          : activation == Activation::kRelu   ? 0.0f
                                              : -kInfinity,
          activation == Activation::kHardtanh ? 1.0f : kInfinity};
}

FilterShape validated(const FilterShape& shape, const Attributes& attributes) {
  validate(attributes);
  validate(shape, attributes);
  return shape;
}

}  // namespace

const KernelTable<const ConvKernel*>& conv_kernels() {
  static const KernelTable<const ConvKernel*> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, &conv_##isa},
#include "kernels/binary_conv2d/kernels.inc"
  };
  return kernels;
}

BinaryConv2d::BinaryConv2d(Isa isa, const Attributes& attributes, const FilterShape& shape, const std::uint8_t* weights,
                           std::size_t window_budget)
    : sum_rows_(kernel_for(row_sums_kernels(), isa)),
      pack_signs_(kernel_for(sign_packing_kernels(), isa)),
      finish_outputs_(kernel_for(epilogue_kernels(), isa)),
      kernel_(*kernel_for(conv_kernels(), isa)),
      attributes_(attributes),
      filter_(kernel_, attributes, validated(shape, attributes), weights),
      window_budget_(window_budget) {}

std::shared_ptr<const Plan> BinaryConv2d::plan(std::int64_t height, std::int64_t width) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = std::find_if(plans_.begin(), plans_.end(), [&](const std::shared_ptr<const Plan>& plan) {
    return plan->height == height && plan->width == width;
  });
  if (known != plans_.end()) {
    std::rotate(plans_.begin(), known, known + 1);
    return plans_.front();
  }
  plans_.insert(plans_.begin(), std::make_shared<const Plan>(attributes_, filter_, height, width, window_budget_));
  std::size_t kept = 1, bytes = plans_.front()->bytes();
  while (kept < std::min(plans_.size(), kMostPlans) && bytes + plans_[kept]->bytes() <= kMostPlanBytes) {
    bytes += plans_[kept++]->bytes();
  }
  plans_.resize(kept);
  return plans_.front();
}

void BinaryConv2d::run(const Plan& plan, std::size_t samples, const Tensors& tensors, const Parallel& parallel) const {
  if (samples == 0) return;
  const StandardFloats standard;  // for what this thread computes between the tasks
  const auto outputs = static_cast<std::size_t>(filter_.shape().outputs);
  const auto sample_inputs = static_cast<std::size_t>(plan.height * plan.width * attributes_.channels);
  const std::size_t sample_outputs = plan.pixels.size() * outputs;
  const std::size_t sample_bytes = sample_inputs * sizeof(float) + plan.band_words * sizeof(Word);

  // Outputs of one band lie next to each other in one sample alone.
  const std::size_t together = plan.bands == 1 ? std::clamp(kRoundBytes / sample_bytes, std::size_t{1}, samples) : 1;

  Round round(plan, tensors, together);
  Carver measure(nullptr);
  round.carve(measure, attributes_, outputs);
  Scratch scratch(measure.bytes());
  Carver carver(scratch.data());
  round.carve(carver, attributes_, outputs);
  round.fill(attributes_, filter_.shape());

  for (std::size_t done = 0; done < samples; done += round.samples) {
    round.samples = std::min(round.samples, samples - done);
    compute_thresholds(round, parallel);
    if (!plan.packs_while_gathering()) compute_bits(round, parallel);
    for (std::size_t band = 0; band < plan.bands; ++band) {
      compute_windows(round, plan.band(band), parallel);
      if (tensors.window_sum.values != nullptr) compute_sums(round, plan.band(band), parallel);
      compute_outputs(round, plan.band(band), parallel);
    }
    round.tensors.x += round.samples * sample_inputs;
    round.tensors.y += round.samples * sample_outputs;
    if (!round.tensors.residual_is_scalar) round.tensors.residual += round.samples * sample_outputs;
  }
}

void BinaryConv2d::compute_thresholds(const Round& round, const Parallel& parallel) const {
  if (attributes_.threshold == Threshold::kPerChannel) return;
  if (attributes_.threshold == Threshold::kZero) {
    std::fill_n(round.thresholds, round.samples, 0.0f);
    return;
  }
  const auto height = static_cast<std::size_t>(round.plan.height), rows = round.samples * height;
  const auto length = static_cast<std::size_t>(round.plan.width * attributes_.channels);
  const std::size_t tasks = std::min(rows, count_tasks(rows * length, kFloatsPerTask));
  parallel_for(parallel, tasks, [&](std::size_t task) noexcept {
    const std::size_t begin = part_begin(rows, task, tasks, kRowsPerStep);
    const std::size_t end = part_begin(rows, task + 1, tasks, kRowsPerStep);
    sum_rows_(round.tensors.x + begin * length, end - begin, length, round.row_sums + begin);
  });
  for (std::size_t sample = 0; sample < round.samples; ++sample) {
    double total = 0;
    for (std::size_t h = 0; h < height; ++h) total += round.row_sums[sample * height + h];
    round.thresholds[sample] = static_cast<float>(total / static_cast<double>(height * length));
  }
}

template <typename Function>
void BinaryConv2d::for_rows(const Round& round, std::size_t rows_per_sample, const Parallel& parallel,
                            Function function) const {
  const auto length = static_cast<std::size_t>(round.plan.width * attributes_.channels);
  const std::size_t rows = round.samples * rows_per_sample;
  const std::size_t tasks = std::min(rows, count_tasks(rows * length, kFloatsPerTask));
  parallel_for(parallel, tasks, [&](std::size_t task) noexcept {
    const std::size_t end = part_begin(rows, task + 1, tasks, 1);
    for (std::size_t i = part_begin(rows, task, tasks, 1); i < end; ++i) {
      function(i / rows_per_sample, i % rows_per_sample);
    }
  });
}

void BinaryConv2d::pack_row(const Round& round, std::size_t sample, std::size_t row, Word* row_bits) const noexcept {
  const auto length = static_cast<std::size_t>(round.plan.width * attributes_.channels);
  const std::size_t index = sample * static_cast<std::size_t>(round.plan.height) + row;
  if (round.packed != nullptr) return copy_row(round, index, row_bits);
  const float* const x = round.tensors.x + index * length;
  const std::size_t lead = round.plan.bit_lead_words, words = words_for_bits(length);
  Word* const bits = row_bits + lead;
  std::fill_n(row_bits, lead, Word{0});
  std::fill_n(bits + words, round.plan.bit_row_words - lead - words, Word{0});
  if (attributes_.threshold == Threshold::kPerChannel) {
    pack_signs_.each(x, length, round.limits, bits);
  } else {
    pack_signs_.one(x, length, round.thresholds[sample], bits);
  }
}

void BinaryConv2d::compute_bits(const Round& round, const Parallel& parallel) const {
  for_rows(
      round, static_cast<std::size_t>(round.plan.height), parallel,
      [&](std::size_t sample, std::size_t row) noexcept { pack_row(round, sample, row, round.row_bits(sample, row)); });
}

void BinaryConv2d::compute_windows(const Round& round, const Band& band, const Parallel& parallel) const {
  const Plan& plan = round.plan;
  const Axis::Taps rows = plan.window_rows(band);
  const bool packs = plan.packs_while_gathering();
  for_rows(round, static_cast<std::size_t>(rows.end - rows.begin), parallel,
           [&](std::size_t sample, std::size_t i) noexcept {
             const std::int64_t row = rows.begin + static_cast<std::int64_t>(i);
             const std::int64_t input_row = row - attributes_.pads[0];
             const bool in_image = input_row >= 0 && input_row < plan.height;
             const auto image_row = static_cast<std::size_t>(in_image ? input_row : 0);
             Word* const windows = round.windows + sample * plan.band_words + i * plan.row_words;
             if (plan.rows_hold_windows) {
               if (in_image) return pack_row(round, sample, image_row, windows);
               std::fill_n(windows, plan.row_words, Word{0});
               return;
             }
             if (packs && in_image) pack_row(round, sample, image_row, round.row_bits(sample, image_row));
             gather_windows(kernel_, attributes_, filter_, plan, band, static_cast<std::size_t>(row),
                            round.row_bits(sample, 0), windows);
           });
}

// What the groups and tasks of a band have in common.
Product BinaryConv2d::product_of(const Round& round, const Band& band) const {
  const Plan& plan = round.plan;
  const WindowLayout& layout = filter_.layout();
  const auto outputs = static_cast<std::size_t>(filter_.shape().outputs);
  Product product{};
  product.sample_stride = plan.band_words;
  product.pixels =
      plan.pixels.data() + band.row_begin * static_cast<std::size_t>(plan.output_width) + band.column_begin;
  product.pixels_per_sample = band.pixels();
  product.runs = layout.runs;
  product.run_stride = plan.run_stride;
  product.run_words = layout.run_words;
  product.run_bits = layout.rows * layout.row_bits;
  product.channels = outputs / static_cast<std::size_t>(attributes_.groups);
  product.border_stride = outputs;
  product.inside = plan.inside.data();
  product.runs_inside = plan.runs_inside.empty() ? nullptr : plan.runs_inside.data();
  product.output_stride = outputs;
  return product;
}

void BinaryConv2d::compute_sums(const Round& round, const Band& band, const Parallel& parallel) const {
  const Product product = product_of(round, band);
  const auto groups = static_cast<std::size_t>(attributes_.groups);
  const std::size_t pixels = round.samples * band.pixels();
  const std::size_t tasks = std::min(pixels, count_tasks(pixels * filter_.layout().words(), kFloatsPerTask));
  parallel_for(parallel, groups * tasks, [&](std::size_t task) noexcept {
    const std::size_t group = task / tasks;
    Product part = product;
    part.input = round.windows + group * round.plan.group_words;
    part.pixel_begin = part_begin(pixels, task % tasks, tasks, 1);
    part.pixel_end = part_begin(pixels, task % tasks + 1, tasks, 1);
    kernel_.sum_windows(part, round.sums + group * pixels);
  });
}

bool BinaryConv2d::has_epilogue(const Round& round) const {
  return round.tensors.window_sum.values != nullptr || round.tensors.border.values != nullptr ||
         attributes_.activation == Activation::kPrelu || attributes_.residual == ResidualPlace::kAfterActivation;
}

// Adds to `count` outputs of each pixel of `part`, from `first_output` of the layer on, what its padded taps add.
void BinaryConv2d::add_border(const Round& round, const Product& part, std::size_t first_output,
                              std::size_t count) const noexcept {
  const FilterShape& shape = filter_.shape();
  const auto outputs = static_cast<std::size_t>(shape.outputs);
  const std::int64_t taps = shape.height * shape.width;
  const std::size_t columns = round.plan.column_kinds.size();
  float* y = part.output + part.pixel_begin * part.output_stride + part.panel_begin * kernel_.lanes;
  for (std::size_t index = part.pixel_begin; index < part.pixel_end; ++index, y += part.output_stride) {
    const std::size_t kind = part.pixels[index % part.pixels_per_sample].border;
    const Axis::Taps rows = round.plan.row_kinds[kind / columns], places = round.plan.column_kinds[kind % columns];
    if ((rows.end - rows.begin) * (places.end - places.begin) == taps) continue;
    const float* const total = round.border + kind * outputs + first_output;
    for (std::size_t c = 0; c < count; ++c) y[c] += total[c];
  }
}

// Takes the steps behind the product, on the outputs that `part` has just written.
void BinaryConv2d::finish(const Round& round, const Product& part, std::size_t first_pixel, std::size_t channel,
                          const float* sums) const noexcept {
  const std::size_t begin = part.panel_begin * kernel_.lanes,
                    end = std::min(part.panel_end * kernel_.lanes, part.channels);
  if (begin >= end || part.pixel_begin == part.pixel_end) return;
  const std::size_t o = channel + begin;
  if (round.tensors.border.values != nullptr) add_border(round, part, o, end - begin);
  Outputs outputs{};
  outputs.y = part.output + part.pixel_begin * part.output_stride + begin;
  outputs.pixels = part.pixel_end - part.pixel_begin;
  outputs.stride = part.output_stride;
  outputs.channels = end - begin;
  if (sums != nullptr) {
    outputs.sums = sums + part.pixel_begin;
    outputs.window_sum = round.window_sum + o;
  }
  if (attributes_.activation == Activation::kPrelu) {
    outputs.neg = round.neg + o;
    outputs.pos = round.pos + o;
    outputs.post = round.post + o;
  }
  const Bounds bounds = bounds_of(attributes_.activation);
  outputs.lower = bounds.lower;
  outputs.upper = bounds.upper;
  if (attributes_.residual == ResidualPlace::kAfterActivation) {
    outputs.residual_stride = round.tensors.residual_is_scalar ? 0 : part.output_stride;
    outputs.residual = round.tensors.residual + (first_pixel + part.pixel_begin) * outputs.residual_stride + o;
  }
  finish_outputs_(outputs);
}

void BinaryConv2d::compute_outputs(const Round& round, const Band& band, const Parallel& parallel) const {
  const Plan& plan = round.plan;
  const auto outputs = static_cast<std::size_t>(filter_.shape().outputs);
  const bool summed = round.tensors.window_sum.values != nullptr;

  Product product = product_of(round, band);
  const std::size_t first = band.row_begin * static_cast<std::size_t>(plan.output_width) + band.column_begin;
  const bool later = attributes_.residual == ResidualPlace::kAfterActivation, finishes = has_epilogue(round);
  const float* const residual = later ? round.zeros : round.tensors.residual;
  product.residual_stride = later || round.tensors.residual_is_scalar ? 0 : outputs;
  const Bounds bounds = bounds_of(finishes ? Activation::kNone : attributes_.activation);
  product.lower = bounds.lower;
  product.upper = bounds.upper;

  const std::size_t pixels = round.samples * band.pixels();
  for_products(product, pixels, parallel, [&](Product& part, std::size_t group) noexcept {
    const std::size_t channel = group * part.channels;
    part.input = round.windows + group * plan.group_words;
    part.border_weights = plan.border_weights.data() + channel;
    if (!plan.starts.empty()) part.starts = plan.starts.data() + channel;
    if (!plan.run_starts.empty()) part.run_starts = plan.run_starts.data() + channel;
    part.scale = round.tensors.scale + channel;
    part.bias = round.tensors.bias + channel;
    part.residual = residual + first * part.residual_stride + channel;
    part.output = round.tensors.y + first * part.output_stride + channel;
    kernel_.multiply(part);
    if (finishes) finish(round, part, first, channel, summed ? round.sums + group * pixels : nullptr);
  });
}

}  // namespace rbnn
