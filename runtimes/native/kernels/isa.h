// Instruction sets: which there are, which one runs, and how an operation's table of kernels is read.
//
// The instruction set is chosen once, for all operations. One that has no kernel of its own for it takes the next best:
// an operation needs a kernel for each processor (portable.cc), not one for each instruction set.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/cpu.h"

namespace rbnn {

// Best first.
enum class Isa : std::size_t {
#define RBNN_ISA(name, files, features, flags) name,
#include "kernels/isa.inc"
};

struct InstructionSet {
  Isa isa;
  const char* name;
  std::uint32_t features;

  bool available(std::uint32_t cpu = cpu_features()) const { return (features & ~cpu) == 0; }
};

// The instruction sets that this library was built for, best first; the index is the Isa.
const std::vector<InstructionSet>& instruction_sets();

inline const InstructionSet& instruction_set(Isa isa) { return instruction_sets()[static_cast<std::size_t>(isa)]; }

// The environment variable that names the instruction set to use; it is read anew each time. Empty means the best one.
constexpr const char* kIsaVariable = "RBNN_KERNEL";
std::string_view forced_isa();

// The best instruction set that `cpu` can execute, or the one called `name`. Throws std::invalid_argument, with the
// names that there are, where none is called so or the processor cannot execute it: never another one than asked for.
Isa select_isa(std::string_view name = forced_isa(), std::uint32_t cpu = cpu_features());

// An operation's kernel for one instruction set: a function, or a structure of functions that belong together.
template <typename T>
struct KernelEntry {
  Isa isa;
  T kernel;

  const char* name() const { return instruction_set(isa).name; }
  bool available(std::uint32_t cpu = cpu_features()) const { return instruction_set(isa).available(cpu); }
};

// An operation's kernels, best first, the portable one last.
template <typename T>
using KernelTable = std::vector<KernelEntry<T>>;

// The best kernel that is no better than `isa`.
template <typename T>
const T& kernel_for(const KernelTable<T>& table, Isa isa, std::uint32_t cpu = cpu_features()) {
  for (const KernelEntry<T>& entry : table) {
    if (entry.isa >= isa && entry.available(cpu)) return entry.kernel;
  }
  return table.back().kernel;
}

}  // namespace rbnn
