// The adapter in a runtime that this test plays: the memory that a run takes, and what the library refuses.

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "adapter/allocations.h"
#include "adapter/fake_runtime.h"
#include "harness.h"
#include "layer_cases.h"

namespace rbnn::test {
namespace {

constexpr std::array<Version, 2> kVersions = {Version::k18, Version::k24};
constexpr std::array<Case::Residual, 3> kResiduals = {Case::Residual::kAbsent, Case::Residual::kOne,
                                                      Case::Residual::kFull};

// Large enough for several tasks in each pass.
Case large_case(Case::Residual residual, std::int64_t size = 24) {
  Random random(31);
  Case c = make_case(64, 48, 3, size, 1, 2);
  c.residual = residual;
  fill(c, random);
  return c;
}

// The case on a map of another size, with the same weights.
Case resized(const Case& c, std::int64_t size) {
  Random random(32);
  Case other = make_case(c.attributes.channels, c.filter.outputs, c.filter.height, size, 1, c.samples);
  other.residual = c.residual;
  fill(other, random);
  other.w = c.w;
  other.scale = c.scale;
  other.bias = c.bias;
  return other;
}

}  // namespace

RBNN_TEST(a_node_computes_the_specification) {
  for (const Version version : kVersions) {
    for (const Case::Residual residual : kResiduals) {
      const Case c = large_case(residual);
      const std::vector<float> expected = binary_conv2d(c);
      for (const auto constants : {Node::Constants::kAll, Node::Constants::kNone}) {
        const Node node(version, c, constants);
        for (const Parallel& parallel : {serial(), on_threads()}) {
          Node::Run run = node.prepare(c, parallel);
          RBNN_CHECK(node.compute(run) == "" && same_bits(run.y, expected), node.refusal());
        }
      }
    }
  }
}

RBNN_TEST(a_run_takes_no_memory_from_the_heap) {
  constexpr std::size_t kRuns = 5;
  for (const Version version : kVersions) {
    for (const Case::Residual residual : kResiduals) {
      const Case c = large_case(residual), other = resized(c, 17);
      const Node node(version, c);
      Node::Run first = node.prepare(c), second = node.prepare(other);
      RBNN_CHECK(node.compute(first) == "" && node.compute(second) == "", "cannot compute");  // plans, and scratch
      const std::size_t before = allocations(), objects = shape_objects();
      for (std::size_t i = 0; i < kRuns; ++i) {
        node.compute(first);
        node.compute(second);
      }
      const std::size_t taken = allocations() - before;
      RBNN_CHECK(taken == 0, std::to_string(taken) + " allocations in 10 runs");
      // Without the means to borrow it, the shape of X and, if there is one, of R is a runtime's object.
      const std::size_t inputs = residual == Case::Residual::kAbsent ? 1 : 2;
      const std::size_t expected = version == Version::k18 ? 2 * kRuns * inputs : 0;
      RBNN_CHECK(shape_objects() - objects == expected, std::to_string(shape_objects() - objects) + " objects");
      RBNN_CHECK(same_bits(second.y, binary_conv2d(other)), "the second size");
    }
  }
}

RBNN_TEST(runs_that_overlap_do_not_meet) {
  const Case c = large_case(Case::Residual::kFull), other = resized(c, 19);
  const std::vector<float> expected = binary_conv2d(c), expected_other = binary_conv2d(other);
  const Node node(Version::k24, c);
  std::array<std::thread, 4> threads;
  std::array<bool, 4> right{};
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&, t] {
      bool all = true;
      for (std::size_t i = 0; i < 6; ++i) {
        const bool is_first = (i + t) % 2 == 0;
        Node::Run run = node.prepare(is_first ? c : other, i % 3 == 0 ? on_threads() : serial());
        all = all && node.compute(run) == "" && same_bits(run.y, is_first ? expected : expected_other);
      }
      right[t] = all;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const bool all : right) RBNN_CHECK(all, "another result beside other runs");
}

RBNN_TEST(a_refusal_names_the_operator_and_the_fault) {
  const Case c = large_case(Case::Residual::kFull);
  const Node node(Version::k24, c);
  const auto refused = [&](auto change) {
    Node::Run run = node.prepare(c);
    change(run);
    return node.compute(run);
  };
  // More dimensions than are kept without the heap.
  std::string sentence = refused([](Node::Run& run) { run.inputs[0].dims = {1, 2, 3, 4, 5, 6, 7, 8}; });
  RBNN_CHECK(sentence.find("BinaryConv2d: X must be [N, H, W, C]") == 0, sentence);
  RBNN_CHECK(sentence.find("but is [1, 2, 3, 4, 5, 6, 7, 8]") != std::string::npos, sentence);
  sentence = refused([](Node::Run& run) { run.inputs[4].dims = {}; });
  RBNN_CHECK(sentence == "", sentence);  // one element, of rank 0
  sentence = refused([](Node::Run& run) { run.inputs[4].type = ort::kUint8; });
  RBNN_CHECK(sentence == "BinaryConv2d: R must be float32, but is of ONNX element type 2", sentence);
  sentence = refused([](Node::Run& run) { run.context.inputs.clear(); });
  RBNN_CHECK(sentence == "BinaryConv2d: input X is missing", sentence);
  sentence = refused([](Node::Run& run) { run.context.fails = true; });
  RBNN_CHECK(sentence == "no threads today", sentence);  // the runtime's own status, as it is
}

RBNN_TEST(a_layer_that_is_none_is_refused_when_it_is_made) {
  Case c = large_case(Case::Residual::kAbsent);
  c.attributes.groups = 3;
  const Node node(Version::k18, c);
  RBNN_CHECK(node.refusal() == "BinaryConv2d: attribute 'groups' (3) must divide 'channels' (64)", node.refusal());
}

}  // namespace rbnn::test
