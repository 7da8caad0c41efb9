// Runs every test, for every instruction set that this machine can execute; says which it cannot.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "harness.h"
#include "kernels/isa.h"

namespace rbnn::test {
namespace {
int failures = 0;
std::uint64_t digested = 0xcbf29ce484222325;
}  // namespace

std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

void fail(const char* file, int line, const std::string& what) {
  constexpr int kShown = 20;
  if (++failures <= kShown) std::printf("%s:%d: failed: %s\n", file, line, what.c_str());
}

void digest(std::uint32_t value) {  // FNV-1a, by whole words
  digested = (digested ^ value) * 0x100000001b3;
}

}  // namespace rbnn::test

int main() {
  for (const rbnn::InstructionSet& set : rbnn::instruction_sets()) {
    std::printf("kernel %s: %s\n", set.name, set.available() ? "tested" : "SKIPPED, not on this processor");
  }
  // Linkers differ in the order of files, in which tests register; the digest depends on it.
  std::vector<rbnn::test::Test> tests = rbnn::test::all_tests();
  std::sort(tests.begin(), tests.end(), [](const auto& a, const auto& b) { return std::strcmp(a.name, b.name) < 0; });
  for (const rbnn::test::Test& test : tests) {
    const int before = rbnn::test::failures;
    test.run();
    std::printf("%s %s\n", rbnn::test::failures == before ? "passed" : "FAILED", test.name);
  }
  std::printf("digest %016llx\n", static_cast<unsigned long long>(rbnn::test::digested));
  std::printf("%d failures\n", rbnn::test::failures);
  return rbnn::test::failures == 0 ? 0 : 1;
}
