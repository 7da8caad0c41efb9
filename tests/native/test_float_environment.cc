// Whole layers in threads whose floating-point units somebody has set in another way.

#include <cstdint>

#include "harness.h"
#include "kernels/isa.h"
#include "layer_cases.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__x86_64__) || defined(__aarch64__)

namespace rbnn::test {

// Whatever the calling thread and those of its pool have set: subnormal numbers as zeros, and another rounding.
RBNN_TEST(any_floating_point_environment) {
  const auto register_now = [] {
#if defined(__x86_64__)
    return std::uint64_t{_mm_getcsr()};
#elif defined(__aarch64__)
    std::uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
#endif
  };
  const auto set_register = [](std::uint64_t value) {
#if defined(__x86_64__)
    _mm_setcsr(static_cast<unsigned>(value));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(value));
#endif
  };
#if defined(__x86_64__)
  constexpr std::uint64_t kFlush = 0x8040, kUp = 0x4000;
#elif defined(__aarch64__)
  constexpr std::uint64_t kFlush = 1 << 24, kUp = 1 << 22;
#endif
  Random random(10);
  for (const Threshold threshold : {Threshold::kSampleMean, Threshold::kZero}) {
    Case c = make_case(37, 70, 3, 40, 1, 2);  // enough for several tasks
    c.attributes.threshold = threshold;
    fill(c, random);
    for (float& value : c.x) value *= 1e-39f;
    for (auto* tensor : {&c.scale, &c.bias, &c.r}) {
      for (float& value : *tensor) value *= random() % 2 ? 1e-40f : 1.0f;
    }
    const std::vector<float> expected = binary_conv2d(c);
    const std::uint64_t before = register_now();
    for (const std::uint64_t changed : {kFlush, kUp, kFlush | kUp}) {
      for (const InstructionSet& set : instruction_sets()) {
        if (!set.available()) continue;
        set_register(before | changed);
        const std::vector<float> alone = run(set.isa, c, serial());
        const std::vector<float> together = run(set.isa, c, on_threads());
        const std::uint64_t after = register_now();
        set_register(before);
        RBNN_CHECK(same_bits(alone, expected), describe(set.isa, c));
        RBNN_CHECK(same_bits(together, expected), describe(set.isa, c) + " on threads");
        RBNN_CHECK((after & changed) == changed, "the caller's environment was not restored");
      }
    }
  }
}

}  // namespace rbnn::test

#endif
