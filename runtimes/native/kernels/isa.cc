#include "kernels/isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/printable.h"

namespace rbnn {

const std::vector<InstructionSet>& instruction_sets() {
  static const std::vector<InstructionSet> sets = {
#define RBNN_ISA(name, files, features, flags) {Isa::name, #name, features},
#include "kernels/isa.inc"
  };
  return sets;
}

std::string_view forced_isa() {
  const char* const value = std::getenv(kIsaVariable);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

Isa select_isa(std::string_view name, std::uint32_t cpu) {
  std::string names;
  bool known = false;
  for (const InstructionSet& set : instruction_sets()) {
    const bool named = name.empty() || name == set.name;
    known = known || named;
    if (!set.available(cpu)) continue;
    if (named) return set.isa;
    names += names.empty() ? "" : ", ";
    names += set.name;
  }
  throw std::invalid_argument(std::string(kIsaVariable) + " is '" + printable(name) + "', " +
                              (known ? "which this processor cannot execute" : "which is no kernel of this library") +
                              "; this machine has " + names);
}

}  // namespace rbnn
