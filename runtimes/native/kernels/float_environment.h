// How this thread's floating-point unit rounds. A caller may have changed it: ONNX Runtime's option
// session.set_denormal_as_zero and torch.set_flush_denormal take subnormal numbers for zeros, others change the
// rounding or ask for traps. docs/ops fixes the bits of every result, so kernels compute in the standard environment.

#pragma once

#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <cfenv>
#endif

namespace rbnn {

// Round to nearest, subnormals kept, no traps, from here to the end of the scope; then the caller's environment again,
// with its exception flags. The clobber keeps loads and stores inside, and so all arithmetic between them.
class StandardFloats {
 public:
  StandardFloats(const StandardFloats&) = delete;
  StandardFloats& operator=(const StandardFloats&) = delete;

#if defined(__x86_64__)
  StandardFloats() {
    constexpr std::uint32_t kFlags = 0x3f, kStandard = 0x1f80;  // Intel's manual, volume 1, 10.2.3
    __asm__ volatile("stmxcsr %0" : "=m"(saved_) : : "memory");
    changed_ = (saved_ & ~kFlags) != kStandard;
    if (changed_) set(kStandard);
  }
  ~StandardFloats() {
    if (changed_) set(saved_);
  }

 private:
  static void set(std::uint32_t mxcsr) { __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr) : "memory"); }
  std::uint32_t saved_;
  bool changed_;
#elif defined(__aarch64__)
  StandardFloats() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_) : : "memory");
    if (saved_ != 0) set(0);
  }
  ~StandardFloats() {
    if (saved_ != 0) set(saved_);
  }

 private:
  static void set(std::uint64_t fpcr) { __asm__ volatile("msr fpcr, %0" : : "r"(fpcr) : "memory"); }
  std::uint64_t saved_;
#else
  StandardFloats() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~StandardFloats() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif
};

}  // namespace rbnn
