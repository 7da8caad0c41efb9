#include "kernels/isa.h"

#include <stdexcept>
#include <string>

#include "harness.h"
#include "kernels/binary_conv2d/binary_conv2d.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/popcount_peak/popcount_peak.h"
#include "kernels/quant_conv2d/quant_conv2d.h"
#include "kernels/row_sums/row_sums.h"
#include "kernels/sign_packing/sign_packing.h"

namespace rbnn::test {
namespace {

constexpr std::uint32_t kEverything = ~0u, kNothing = 0;

std::string refusal(std::string_view name, std::uint32_t cpu) {
  try {
    select_isa(name, cpu);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

template <typename T>
void check_table(const KernelTable<T>& table, const char* operation) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    RBNN_CHECK(i == 0 || table[i - 1].isa < table[i].isa, std::string(operation) + ": best first");
    RBNN_CHECK(&kernel_for(table, table[i].isa, kEverything) == &table[i].kernel, operation);
  }
  RBNN_CHECK(table.back().isa == Isa::portable, operation);
  RBNN_CHECK(&kernel_for(table, instruction_sets().front().isa, kNothing) == &table.back().kernel, operation);
}

}  // namespace

RBNN_TEST(selection) {
  RBNN_CHECK(select_isa("", kEverything) == instruction_sets().front().isa, "the best of all");
  RBNN_CHECK(select_isa("", kNothing) == Isa::portable, "what always works");
  for (const InstructionSet& set : instruction_sets()) {
    RBNN_CHECK(&instruction_set(set.isa) == &set, set.name);
    RBNN_CHECK(select_isa(set.name, kEverything) == set.isa, set.name);
    if (set.features == 0) continue;
    const std::string sentence = refusal(set.name, kNothing);
    RBNN_CHECK(sentence.find("cannot execute") != std::string::npos, sentence);
    RBNN_CHECK(sentence.find("this machine has portable") != std::string::npos, sentence);
  }
  RBNN_CHECK(refusal("avx9000", kEverything).find("no kernel of this library") != std::string::npos, "");
}

RBNN_TEST(tables_of_kernels) {
  check_table(conv_kernels(), "binary_conv2d");
  check_table(quant_kernels(), "quant_conv2d");
  check_table(popcount_peak_kernels(), "popcount_peak");
  check_table(row_sums_kernels(), "row_sums");
  check_table(sign_packing_kernels(), "sign_packing");
  check_table(epilogue_kernels(), "epilogue");
}

// An instruction set without a kernel of an operation takes the next best one, and never a better one.
RBNN_TEST(a_table_with_gaps) {
  const KernelTable<int> gaps = {{Isa::portable, 7}};
  for (const InstructionSet& set : instruction_sets()) RBNN_CHECK(kernel_for(gaps, set.isa) == 7, set.name);
  const KernelTable<int> two = {{instruction_sets().front().isa, 1}, {Isa::portable, 7}};
  RBNN_CHECK(kernel_for(two, Isa::portable, kEverything) == (two[0].isa == Isa::portable ? 1 : 7), "");
}

RBNN_TEST(popcount_peaks) {
  for (const auto& entry : popcount_peak_kernels()) {
    if (!entry.available()) continue;
    RBNN_CHECK(entry.kernel(200) == 2 * entry.kernel(100), entry.name());
    RBNN_CHECK(measure_popcount_peak(entry.isa) > 0, entry.name());
  }
}

}  // namespace rbnn::test
