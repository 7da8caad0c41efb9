#include <stdexcept>
#include <string>

#include "harness.h"
#include "kernels/binary_conv2d/select.h"

namespace rbnn::test {

RBNN_TEST(selection) {
  const auto refusal = [](std::string_view name, std::uint32_t cpu) -> std::string {
    try {
      select_kernel(name, cpu);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  constexpr std::uint32_t kEverything = ~0u, kNothing = 0;
  RBNN_CHECK(&select_kernel("", kEverything) == all_kernels().front().kernel, "the best of all");
  RBNN_CHECK(std::string(select_kernel("", kNothing).name) == "portable", "what always works");
  for (const KernelEntry& entry : all_kernels()) {
    RBNN_CHECK(&select_kernel(entry.kernel->name, kEverything) == entry.kernel, entry.kernel->name);
    if (entry.features == 0) continue;
    const std::string sentence = refusal(entry.kernel->name, kNothing);
    RBNN_CHECK(sentence.find("cannot execute") != std::string::npos, sentence);
    RBNN_CHECK(sentence.find("this machine has portable") != std::string::npos, sentence);
  }
  RBNN_CHECK(refusal("avx9000", kEverything).find("no kernel of this library") != std::string::npos, "");
}

}  // namespace rbnn::test
