#include "kernels/quant_conv2d/quant_conv2d.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/carver.h"
#include "kernels/float_environment.h"
#include "kernels/memory.h"
#include "kernels/tasks.h"

namespace rbnn {
namespace {

// How work is cut; it changes no result.
constexpr std::size_t kFloatsPerTask = std::size_t{1} << 15;  // at least, of a pass over activations
constexpr std::size_t kMacsPerTask = std::size_t{1} << 21;    // at least, of the product
constexpr std::size_t kMostProductTasks = 8;                  // tasks below each other compute a pool's rows twice
constexpr std::size_t kPanelsPerStep = 4;                     // tiles of 1, 2 and 4 panels fill it
constexpr std::size_t kWindowBytes = std::size_t{1} << 14;    // of windows that are gathered at a time
constexpr std::size_t kSlack = 64;  // bytes behind stored activations that may be read, and count nowhere

constexpr std::size_t kRingBytes = std::size_t{1} << 22;  // of rows that wait for a pool, where there are many tasks

struct Bounds {
  float lower, upper;
};

// What clamps the outputs.
Bounds bounds_of(Activation activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {activation == Activation::kHardtanh ? -1.0f
          : activation == Activation::kRelu   ? 0.0f
                                              : -kInfinity,
          activation == Activation::kHardtanh ? 1.0f : kInfinity};
}

std::size_t unsigned_of(std::int64_t value) { return static_cast<std::size_t>(value); }

}  // namespace

const KernelTable<const QuantKernel*>& quant_kernels() {
  static const KernelTable<const QuantKernel*> kernels = {
#define RBNN_KERNEL(isa) {Isa::isa, &quant_##isa},
#include "kernels/quant_conv2d/kernels.inc"
  };
  return kernels;
}

// One call: its sizes, its memory, and how its work is cut.
struct QuantConv2d::Run {
  Run(const QuantConv2d& the_layer, const QuantSizes& the_sizes, const Tensors& the_tensors)
      : layer(the_layer), sizes(the_sizes), tensors(the_tensors) {
    const QuantAttributes& a = layer.attributes_;
    const QuantFilter& filter = layer.filter_;
    const FilterShape& shape = filter.shape();
    channels = unsigned_of(a.conv.channels);
    outputs = unsigned_of(shape.outputs);
    lanes = unsigned_of(a.conv.groups) * filter.panels_per_group() * layer.kernel_.lanes;
    picked = shape.width == 1 && !filter.gathered();
    columns = filter.gathered() ? unsigned_of(sizes.mean[1])
              : picked          ? unsigned_of(sizes.conv[1])
                                : unsigned_of(a.conv.pads[1] + sizes.mean[1] + a.conv.pads[3]);
    row_bytes = columns * channels * bytes_of(layer.kernel_.storage);
    window_bytes = filter.run_words() * layer.kernel_.per_word * bytes_of(layer.kernel_.storage);
    window_pixels = std::clamp(kWindowBytes / window_bytes, std::size_t{1}, unsigned_of(sizes.conv[1]));

    pooled = a.has_pool();
    const std::size_t macs = unsigned_of(sizes.conv[0] * sizes.conv[1]) * outputs *
                             (unsigned_of(shape.height * shape.width) * channels / unsigned_of(a.conv.groups));
    ring_rows = pooled ? unsigned_of(std::min(a.pool_kernel[0], sizes.conv[0])) : 0;
    const bool large_ring = ring_rows * ring_row_floats() * sizeof(float) > kRingBytes;
    const std::size_t tasks = large_ring ? 1 : std::min(count_tasks(macs, kMacsPerTask), kMostProductTasks);
    panel_steps = divide_up(filter.panels_per_group(), kPanelsPerStep);
    // Rows first where they share nothing, because weights are then read from a cache; panels first below a pool.
    const std::size_t most_rows = unsigned_of(sizes.pool[0]);
    row_tasks =
        pooled ? std::min(divide_up(tasks, std::min(panel_steps, tasks)), most_rows) : std::min(tasks, most_rows);
    panel_tasks = std::min(divide_up(tasks, row_tasks), panel_steps);
  }

  const QuantConv2d& layer;
  const QuantSizes& sizes;
  Tensors tensors;
  std::size_t channels, outputs, lanes;
  bool picked, pooled;  // picked: a row holds the columns that are read, in their order
  std::size_t columns, row_bytes, window_bytes, window_pixels;
  std::size_t panel_steps, row_tasks, panel_tasks, ring_rows;
  Quantisation quantisation;

  double* mean_sums;  // [rows of the mean][C]
  float* means;       // [MH, MW, C]
  std::uint8_t* stored;
  std::uint8_t* zero_row;
  float *scale, *bias, *residual;  // [lanes]; residual: of one element
  // Of each task:
  const std::uint8_t** rows;  // [runs]
  std::uint8_t* windows;      // [window_pixels]
  float* ring;                // [ring_rows, OW, O]
  const float** pooled_rows;  // [ring_rows]

  std::size_t tasks() const { return row_tasks * panel_tasks; }
  std::size_t ring_row_floats() const { return unsigned_of(sizes.conv[1]) * outputs; }

  void carve(Carver& carver) {
    const bool means_first = layer.attributes_.has_mean();
    const QuantFilter& filter = layer.filter_;
    const std::size_t mean_rows = unsigned_of(sizes.mean[0]);
    mean_sums = carver.take<double>(means_first ? mean_rows * channels : 0);
    means = carver.take<float>(means_first ? mean_rows * unsigned_of(sizes.mean[1]) * channels : 0);
    stored = carver.take<std::uint8_t>(mean_rows * row_bytes + kSlack);
    zero_row = carver.take<std::uint8_t>(filter.gathered() ? 0 : row_bytes + kSlack);
    for (float** const values : {&scale, &bias, &residual}) *values = carver.take<float>(lanes);
    rows = carver.take<const std::uint8_t*>(tasks() * filter.runs());
    windows = carver.take<std::uint8_t>(filter.gathered() ? tasks() * (window_pixels * window_bytes) : 0);
    ring = carver.take<float>(tasks() * ring_rows * ring_row_floats());
    pooled_rows = carver.take<const float*>(tasks() * ring_rows);
  }

  // Writes what is the same for all samples.
  void fill() {
    const QuantAttributes& a = layer.attributes_;
    quantisation = {tensors.factor, static_cast<float>(a.low), static_cast<float>(a.high),
                    offset_of(layer.kernel_.storage, static_cast<std::int32_t>(a.low))};
    if (!layer.filter_.gathered()) fill_zeros(zero_row, columns * channels);
    const std::size_t groups = unsigned_of(a.conv.groups), group_lanes = lanes / groups, count = outputs / groups;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::pair<const float*, float*> copies[] = {{tensors.scale, scale}, {tensors.bias, bias}};
      for (const auto& [from, to] : copies) {
        std::copy_n(from + g * count, count, to + g * group_lanes);
        std::fill_n(to + g * group_lanes + count, group_lanes - count, 0.0f);
      }
    }
    if (tensors.residual == nullptr || tensors.residual_is_scalar) {
      std::fill_n(residual, lanes, tensors.residual == nullptr ? 0.0f : *tensors.residual);
      tensors.residual = nullptr;
    }
  }

  // `count` activations 0, as they are stored.
  void fill_zeros(std::uint8_t* to, std::size_t count) const {
    // Of bytes -offset is the byte, of shorts it is 0.
    std::memset(to, -quantisation.offset, count * bytes_of(layer.kernel_.storage));
  }
};

QuantConv2d::QuantConv2d(Isa isa, const QuantAttributes& attributes, const FilterShape& shape,
                         const std::int8_t* weights)
    : kernel_(*kernel_for(quant_kernels(), isa)),
      attributes_(attributes),
      filter_(kernel_, attributes, shape, weights) {}

void QuantConv2d::run(const QuantSizes& sizes, std::size_t samples, const Tensors& tensors,
                      const Parallel& parallel) const {
  const StandardFloats standard;
  Run run(*this, sizes, tensors);
  Carver measure(nullptr);
  run.carve(measure);
  Scratch scratch(measure.bytes());
  Carver carver(scratch.data());
  run.carve(carver);
  run.fill();
  const std::size_t sample_floats = unsigned_of(sizes.x[0] * sizes.x[1]) * run.channels;
  for (std::size_t sample = 0; sample < samples; ++sample) {
    const float* const x = tensors.x + sample * sample_floats;
    if (attributes_.has_mean()) average(run, x, parallel);
    quantise(run, x, parallel);
    compute(run, sample, parallel);
  }
}

void QuantConv2d::average(const Run& run, const float* x, const Parallel& parallel) const {
  const bool planes = attributes_.layout == MapLayout::kChannelsFirst;
  const std::size_t width = unsigned_of(run.sizes.x[1]), channels = run.channels;
  MeanWindow all{};
  all.channel = planes ? unsigned_of(run.sizes.x[0]) * width : 1;
  all.column = planes ? 1 : channels;
  all.row = width * all.column;
  all.rows = unsigned_of(run.sizes.window[0]);
  all.columns = unsigned_of(run.sizes.window[1]);
  all.channels = channels;
  const std::size_t rows = unsigned_of(run.sizes.mean[0]), columns = unsigned_of(run.sizes.mean[1]);
  const std::size_t work = rows * columns * all.rows * all.columns * channels;
  const std::size_t tasks = std::min(rows, count_tasks(work, kFloatsPerTask));
  parallel_for(parallel, tasks, [&](std::size_t task) noexcept {
    const std::size_t end = part_begin(rows, task + 1, tasks, 1);
    for (std::size_t u = part_begin(rows, task, tasks, 1); u < end; ++u) {
      MeanWindow window = all;
      window.sums = run.mean_sums + u * channels;
      for (std::size_t v = 0; v < columns; ++v) {
        window.x = x + u * unsigned_of(attributes_.mean_strides[0]) * all.row +
                   v * unsigned_of(attributes_.mean_strides[1]) * all.column;
        window.output = run.means + (u * columns + v) * channels;
        kernel_.mean(window);
      }
    }
  });
}

// Whether any window has a tap in this row.
bool QuantConv2d::reads_row(const QuantSizes& sizes, std::size_t row) const noexcept {
  const Axis axis = vertical_axis(attributes_.conv, filter_.shape());
  if (axis.stride == 1 && axis.dilation == 1) return true;
  for (std::int64_t tap = 0; tap < axis.taps; ++tap) {
    const std::int64_t at = static_cast<std::int64_t>(row) + axis.pad_before - tap * axis.dilation;
    if (at < 0) return false;
    if (at % axis.stride == 0 && at / axis.stride < sizes.conv[0]) return true;
  }
  return false;
}

void QuantConv2d::quantise(const Run& run, const float* x, const Parallel& parallel) const {
  const std::size_t rows = unsigned_of(run.sizes.mean[0]);
  const std::size_t tasks = std::min(rows, count_tasks(rows * run.columns * run.channels, kFloatsPerTask));
  parallel_for(parallel, tasks, [&](std::size_t task) noexcept {
    const std::size_t end = part_begin(rows, task + 1, tasks, 1);
    for (std::size_t row = part_begin(rows, task, tasks, 1); row < end; ++row) {
      if (reads_row(run.sizes, row)) quantise_row(run, x, row);
    }
  });
}

void QuantConv2d::quantise_row(const Run& run, const float* x, std::size_t row) const noexcept {
  const bool planes = attributes_.layout == MapLayout::kChannelsFirst && !attributes_.has_mean();
  const std::size_t width = unsigned_of(run.sizes.mean[1]), channels = run.channels;
  const std::size_t pixel_bytes = channels * bytes_of(kernel_.storage);
  std::uint8_t* const stored = run.stored + row * run.row_bytes;
  // Columns begin .. end - 1 of what is stored are the columns from `first` on, each `step` behind the one before it.
  std::size_t begin = 0, end = width, first = 0, step = 1;
  if (run.picked) {
    const auto pad = unsigned_of(attributes_.conv.pads[1]);
    step = unsigned_of(attributes_.conv.strides[1]);
    begin = std::min(divide_up(pad, step), run.columns);
    end = std::max(begin, std::min((width + pad - 1) / step + 1, run.columns));
    first = begin * step - pad;
  } else if (!filter_.gathered()) {
    begin = unsigned_of(attributes_.conv.pads[1]);
    end = begin + width;
  }
  run.fill_zeros(stored, begin * channels);
  run.fill_zeros(stored + end * pixel_bytes, (run.columns - end) * channels);
  if (begin == end) return;
  std::uint8_t* const to = stored + begin * pixel_bytes;
  if (planes) {
    const std::size_t plane = unsigned_of(run.sizes.x[0]) * width;
    kernel_.quantise_planes(run.quantisation, {x + row * width + first, plane, step, channels, end - begin}, to);
    return;
  }
  const float* const from = (attributes_.has_mean() ? run.means : x) + (row * width + first) * channels;
  if (step == 1) {
    kernel_.quantise(run.quantisation, from, (end - begin) * channels, to);
    return;
  }
  for (std::size_t i = 0; i < end - begin; ++i) {
    kernel_.quantise(run.quantisation, from + i * step * channels, channels, to + i * pixel_bytes);
  }
}

// Copies the windows [begin, end) of one row and one group, taps one after the other.
void QuantConv2d::gather(const Run& run, std::size_t group, std::size_t row, std::size_t begin, std::size_t end,
                         std::uint8_t* windows) const noexcept {
  const Axis vertical = vertical_axis(attributes_.conv, filter_.shape());
  const Axis horizontal = horizontal_axis(attributes_.conv, filter_.shape());
  const std::size_t tap = run.channels / unsigned_of(attributes_.conv.groups);
  const std::size_t tap_bytes = tap * bytes_of(kernel_.storage), pixel_bytes = run.channels * bytes_of(kernel_.storage);
  for (std::size_t q = begin; q < end; ++q) {
    std::uint8_t* to = windows + (q - begin) * run.window_bytes;
    for (std::int64_t i = 0; i < vertical.taps; ++i) {
      const std::int64_t h = vertical.origin(static_cast<std::int64_t>(row)) + i * vertical.dilation;
      for (std::int64_t j = 0; j < horizontal.taps; ++j, to += tap_bytes) {
        const std::int64_t w = horizontal.origin(static_cast<std::int64_t>(q)) + j * horizontal.dilation;
        if (h < 0 || h >= run.sizes.mean[0] || w < 0 || w >= run.sizes.mean[1]) {
          run.fill_zeros(to, tap);
        } else {
          std::memcpy(to,
                      run.stored + unsigned_of(h) * run.row_bytes + unsigned_of(w) * pixel_bytes + group * tap_bytes,
                      tap_bytes);
        }
      }
    }
    std::memset(to, 0, unsigned_of(windows + (q - begin + 1) * run.window_bytes - to));
  }
}

// Computes one row of the convolution's output, the panels [panel_begin, panel_end) of each group. `output` is of the
// row's first pixel and the layer's first channel.
void QuantConv2d::convolve_row(const Run& run, std::size_t sample, std::size_t task, std::size_t row,
                               std::size_t panel_begin, std::size_t panel_end, float* output,
                               std::size_t output_stride) const noexcept {
  const std::size_t groups = unsigned_of(attributes_.conv.groups), group_outputs = run.outputs / groups;
  const std::size_t width = unsigned_of(run.sizes.conv[1]);
  const std::size_t first_channel = panel_begin * kernel_.lanes;
  const Activation activation = attributes_.conv.activation;
  QuantProduct product{};
  product.runs = filter_.runs();
  product.run_words = filter_.run_words();
  product.panel_bytes = filter_.panel_bytes();
  product.channels = std::min(panel_end * kernel_.lanes, group_outputs) - first_channel;
  product.output_stride = output_stride;
  const Bounds bounds = bounds_of(activation);
  product.lower = bounds.lower;
  product.upper = bounds.upper;
  const std::uint8_t** const rows = run.rows + task * filter_.runs();
  product.rows = rows;

  const std::size_t step = filter_.gathered() ? run.window_pixels : width;
  std::uint8_t* const windows =
      filter_.gathered() ? run.windows + task * run.window_pixels * run.window_bytes : nullptr;
  if (filter_.gathered()) {
    rows[0] = windows;
    product.pixel_bytes = run.window_bytes;
  } else {
    const Axis vertical = vertical_axis(attributes_.conv, filter_.shape());
    for (std::size_t i = 0; i < product.runs; ++i) {
      const std::int64_t h =
          vertical.origin(static_cast<std::int64_t>(row)) + static_cast<std::int64_t>(i) * vertical.dilation;
      rows[i] = h < 0 || h >= run.sizes.mean[0] ? run.zero_row : run.stored + unsigned_of(h) * run.row_bytes;
    }
    product.pixel_bytes =
        (run.picked ? 1 : unsigned_of(attributes_.conv.strides[1])) * run.channels * bytes_of(kernel_.storage);
  }
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t panel = group * filter_.panels_per_group() + panel_begin, lane = panel * kernel_.lanes;
    const std::size_t channel = group * group_outputs + first_channel;
    product.panels = filter_.panel(panel);
    product.start = filter_.start() + lane;
    product.scale = run.scale + lane;
    product.bias = run.bias + lane;
    for (std::size_t q = 0; q < width; q += step) {
      product.pixels = std::min(step, width - q);
      if (filter_.gathered()) gather(run, group, row, q, q + product.pixels, windows);
      product.residual = run.residual;
      if (run.tensors.residual != nullptr) {
        const std::size_t pixel = (sample * unsigned_of(run.sizes.conv[0]) + row) * width + q;
        product.residual = run.tensors.residual + pixel * run.outputs + channel;
        product.residual_stride = run.outputs;
      }
      product.output = output + q * output_stride + channel;
      kernel_.multiply(product);
    }
  }
}

void QuantConv2d::compute(const Run& run, std::size_t sample, const Parallel& parallel) const {
  const std::size_t rows = unsigned_of(run.sizes.pool[0]), columns = unsigned_of(run.sizes.pool[1]);
  const std::size_t groups = unsigned_of(attributes_.conv.groups), group_outputs = run.outputs / groups;
  float* const y = run.tensors.y + sample * rows * columns * run.outputs;
  parallel_for(parallel, run.tasks(), [&](std::size_t task) noexcept {
    const std::size_t row_task = task % run.row_tasks, panel_task = task / run.row_tasks;
    const std::size_t begin = part_begin(rows, row_task, run.row_tasks, 1);
    const std::size_t end = part_begin(rows, row_task + 1, run.row_tasks, 1);
    const std::size_t panels = filter_.panels_per_group();
    const std::size_t panel_begin = part_begin(panels, panel_task, run.panel_tasks, kPanelsPerStep);
    const std::size_t panel_end = part_begin(panels, panel_task + 1, run.panel_tasks, kPanelsPerStep);
    if (panel_begin == panel_end) return;
    if (!run.pooled) {
      for (std::size_t row = begin; row < end; ++row) {
        convolve_row(run, sample, task, row, panel_begin, panel_end, y + row * columns * run.outputs, run.outputs);
      }
      return;
    }
    // Rows of the convolution wait in a ring until the last window that has them is pooled.
    const Axis vertical = pool_axis(attributes_, 0);
    const std::size_t ring_row = run.ring_row_floats();
    float* const ring = run.ring + task * run.ring_rows * ring_row;
    const float** const window = run.pooled_rows + task * run.ring_rows;
    PoolRow pool{};
    pool.rows = window;
    pool.width = unsigned_of(run.sizes.conv[1]);
    pool.stride_floats = pool.output_stride = run.outputs;
    pool.taps = unsigned_of(attributes_.pool_kernel[1]);
    pool.stride = unsigned_of(attributes_.pool_strides[1]);
    pool.pad = unsigned_of(attributes_.pool_pads[1]);
    pool.count = columns;
    std::size_t next = 0;  // the first row that is not computed yet
    for (std::size_t row = begin; row < end; ++row) {
      const Axis::Taps inside = vertical.inside(static_cast<std::int64_t>(row), run.sizes.conv[0]);
      const std::int64_t origin = vertical.origin(static_cast<std::int64_t>(row));
      const std::size_t first = unsigned_of(origin + inside.begin), last = unsigned_of(origin + inside.end);
      for (next = std::max(next, first); next < last; ++next) {
        convolve_row(run, sample, task, next, panel_begin, panel_end, ring + next % run.ring_rows * ring_row,
                     run.outputs);
      }
      pool.row_count = last - first;
      for (std::size_t group = 0; group < groups; ++group) {
        const std::size_t channel = group * group_outputs + panel_begin * kernel_.lanes;
        for (std::size_t i = first; i < last; ++i) {
          window[i - first] = ring + i % run.ring_rows * ring_row + channel;
        }
        pool.channels = std::min(panel_end * kernel_.lanes, group_outputs) - panel_begin * kernel_.lanes;
        pool.output = y + row * columns * run.outputs + channel;
        kernel_.pool(pool);
      }
    }
  });
}

}  // namespace rbnn
