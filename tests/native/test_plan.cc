// Plans: how windows are cut into bands, and which plans a layer keeps. And the scratch memory that they are gathered
// in.

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/memory.h"
#include "layer_cases.h"

namespace rbnn::test {
namespace {

std::unique_ptr<const BinaryConv2d> layer_of(const Case& c, std::size_t budget = kWindowBudget) {
  static const std::vector<std::uint8_t> weights(1 << 20);
  return std::make_unique<const BinaryConv2d>(select_isa("portable"), c.attributes, c.filter, weights.data(), budget);
}

}  // namespace

RBNN_TEST(bands_hold_every_pixel_once_within_the_budget) {
  Random random(20);
  std::size_t parts_of_rows = 0, rows_shared = 0;
  for (int i = 0; i < 200; ++i) {
    Case c = make_case(1 + random() % 70, 3, 1 + random() % 5, 1 + random() % 30, random() % 3);
    for (auto& value : c.attributes.strides) value = 1 + random() % 3;
    for (auto& value : c.attributes.dilations) value = 1 + random() % 3;
    if (c.output_height() < 1 || c.output_width() < 1) continue;
    for (const std::size_t budget : {std::size_t{0}, std::size_t{1000}, std::size_t{20000}, kWindowBudget}) {
      const auto plan = layer_of(c, budget)->plan(c.height, c.width);
      const auto width = static_cast<std::size_t>(plan->output_width);
      const bool one_pixel = plan->band_rows == 1 && plan->band_columns == 1;
      RBNN_CHECK(plan->band_words * sizeof(Word) <= budget || one_pixel, "more than the budget");
      std::size_t next = 0;
      for (std::size_t band = 0; band < plan->bands; ++band) {
        const Band part = plan->band(band);
        RBNN_CHECK(part.row_begin * width + part.column_begin == next, "a gap between bands");
        const bool whole_rows = part.column_end - part.column_begin == width;
        RBNN_CHECK(whole_rows || part.row_end == part.row_begin + 1, "a band's outputs are not next to each other");
        next += part.pixels();
        parts_of_rows += !whole_rows;
        rows_shared += plan->shared_rows && plan->bands > 1;
      }
      RBNN_CHECK(next == plan->pixels.size(), "pixels left over");
      if (budget == kWindowBudget) RBNN_CHECK(plan->bands == 1, "a small layer is not one band");
    }
  }
  RBNN_CHECK(parts_of_rows > 100 && rows_shared > 100, "a kind of band that was not met");
}

// Of a map that strides leave out, windows are small and rows are not.
RBNN_TEST(rows_of_signs_are_windows_where_they_are_no_larger) {
  for (const std::int64_t channels : {32, 64, 512}) {
    RBNN_CHECK(layer_of(make_case(channels, 8, 3, 14, 1))->plan(14, 14)->rows_hold_windows, std::to_string(channels));
  }
  RBNN_CHECK(!layer_of(make_case(48, 8, 3, 14, 1))->plan(14, 14)->rows_hold_windows, "no whole words");
  Case c = make_case(32, 8, 1, 4096, 0);
  c.height = 1;
  c.attributes.strides = {1, 4096};
  c.attributes.pads = {32767, 0, 0, 0};
  const auto plan = layer_of(c)->plan(c.height, c.width);
  RBNN_CHECK(!plan->rows_hold_windows, "rows that are mostly left out");
  RBNN_CHECK(plan->band_words * sizeof(Word) <= kWindowBudget, "more than the budget");
}

RBNN_TEST(layers_of_ordinary_networks_are_one_band) {
  for (const std::int64_t size : {56, 112, 224, 320}) {
    RBNN_CHECK(layer_of(make_case(64, 64, 3, size, 1))->plan(size, size)->bands == 1, std::to_string(size));
  }
}

RBNN_TEST(a_layer_keeps_the_plans_of_a_few_sizes) {
  const auto layer = layer_of(make_case(8, 8, 3, 8, 1));
  const Plan* const first = layer->plan(8, 8).get();
  const Plan* const second = layer->plan(9, 8).get();
  for (int i = 0; i < 3; ++i) {
    RBNN_CHECK(layer->plan(8, 8).get() == first && layer->plan(9, 8).get() == second, "two sizes in turn");
  }
  const std::weak_ptr<const Plan> oldest = layer->plan(8, 8);
  for (const std::int64_t size : {20, 21, 22, 23}) layer->plan(size, size);
  RBNN_CHECK(oldest.expired(), "every size is kept");
  const std::weak_ptr<const Plan> large = layer->plan(2048, 2048);
  RBNN_CHECK(!large.expired(), "the latest is not kept");
  layer->plan(8, 8);
  RBNN_CHECK(large.expired(), "a large plan is kept beside others");
}

RBNN_TEST(threads_ask_for_plans_at_once) {
  const auto layer = layer_of(make_case(8, 8, 3, 8, 1));
  std::array<std::thread, 4> threads;
  std::array<bool, 4> right{};
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&layer, &right, t] {
      bool all = true;
      for (std::size_t i = 0; i < 200; ++i) {
        const auto size = static_cast<std::int64_t>(1 + (i * (t + 1)) % 7);
        const auto plan = layer->plan(size, size + 1);
        all = all && plan->height == size && plan->width == size + 1;
      }
      right[t] = all;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const bool all : right) RBNN_CHECK(all, "a plan of another size");
}

RBNN_TEST(scratch_memory_shrinks_after_a_large_call) {
  constexpr std::size_t kLarge = std::size_t{1} << 28, kSmall = std::size_t{1} << 10;
  {
    const Scratch large(kLarge);
  }
  for (std::size_t i = 0; i < Scratch::kPatience; ++i) {
    const Scratch small(kSmall);
    RBNN_CHECK(small.bytes() >= kLarge, "not kept for the next call");
  }
  const Scratch small(kSmall);
  RBNN_CHECK(small.bytes() == kSmall, "not given back");
}

}  // namespace rbnn::test
