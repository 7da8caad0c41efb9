"""Estimates the speed of the NEON kernels' inner loops without Arm hardware; prints tables of docs/arm.md.

    python tools/arm64/speed.py

llvm-mca (Debian: apt-get install llvm-19, or another version) runs each inner loop, as compiled, on its
models of three cores; beside the binary one its bound by vector pipes, plain xor-popcount-add, and the mix
that Larq publishes. layers.py does the same for whole layers of binary convolutions.

Needs the compiler of tools/wheels/requirements.txt.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import executed
import ziglang

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "runtimes" / "native"
BUILD = ROOT / "build" / "arm64-speed"
ZIG = Path(ziglang.__file__).parent / "zig"
TARGET = "aarch64-linux-gnu.2.28"
# LLVM has no model of its own for the A76 and takes the A57's; the Neoverse N1 is the A76's server edition.
CORES = {"Cortex-A53": "cortex-a53", "Cortex-A72": "cortex-a72", "Cortex-A76": "neoverse-n1"}
WITH_DOTPROD = ("neoverse-n1",)
VECTOR_BITS, TRIPLE_VECTOR_MACS = 128, 384
ITERATIONS = 1000

# Eight of each in turn, so that none waits for another.
PLAIN = "".join(
    [f"eor v{i}.16b, v30.16b, v31.16b\n" for i in range(8)]
    + [f"cnt v{i}.16b, v{i}.16b\n" for i in range(8)]
    + [f"add v{8 + i}.16b, v{8 + i}.16b, v{i}.16b\n" for i in range(8)]
)
COUNT_ONLY = "".join(f"cnt v{i}.16b, v{8 + i}.16b\n" for i in range(8))
# Larq Compute Engine, indirect kernel, 8 x 4 x 128 bits: 32 eor, 32 cnt, 28 addp, 4 uadalp for 4096 products.
LARQ = "".join(
    [f"eor v{i % 8}.16b, v30.16b, v31.16b\ncnt v{8 + i % 8}.16b, v29.16b\n" for i in range(32)]
    + [f"addp v{16 + i % 8}.16b, v30.16b, v31.16b\n" for i in range(28)]
    + [f"uadalp v{24 + i}.8h, v29.16b\n" for i in range(4)]
)


def compile_kernel(source: str, *flags: str) -> str:
    """Compiles a file of kernels as the wheel does; returns the assembly."""
    command: list[str | Path] = [ZIG, "c++", "-target", TARGET, "-std=c++17", "-O3", "-DNDEBUG", "-fPIC"]
    command += ["-ffp-contract=off", "-g0", *flags]
    output = BUILD / f"{source.replace('/', '_')}.s"
    output.parent.mkdir(parents=True, exist_ok=True)
    command += [f"-I{NATIVE}", "-S", "-o", output, NATIVE / "kernels" / source]
    subprocess.run([*map(str, command)], check=True)
    return output.read_text()


def inner_loops(assembly: str, instruction: str) -> Iterator[list[str]]:
    """Yields the innermost loops that have an instruction, from a label to the branch back to it."""
    lines = [line.split("//")[0].strip() for line in assembly.splitlines()]
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    for i, line in enumerate(lines):
        jump = re.match(r"^(?:b\.[a-z]+|cbn?z\s+\w+,)\s+(\S+)$", line)
        begin = labels.get(jump[1], i) if jump else i
        body = [text for text in lines[begin:i] if re.match(r"^[a-z]", text)]
        innermost = not any(text.endswith(":") for text in lines[begin + 1 : i])
        if innermost and any(text.startswith(instruction) for text in body):
            yield [" ".join(text.split()) for text in body] + ["b.ne 1f", "1:"]


def cycles(instructions: str, core: str) -> float:
    """Returns the cycles of one iteration, as llvm-mca sees it."""
    tool = executed.newest("llvm-mca")
    if tool is None:
        sys.exit("needs llvm-mca; run: apt-get install llvm")
    command = [tool, "-mtriple=aarch64", f"-mcpu={core}", f"-iterations={ITERATIONS}"]
    result = subprocess.run(command, input=instructions, capture_output=True, text=True, check=True)
    found = re.search(r"Total Cycles:\s+(\d+)", result.stdout)
    assert found is not None, result.stdout
    return int(found[1]) / ITERATIONS


def print_cycles() -> None:
    """Prints products per cycle of the inner loop, its bounds, and others' loops."""
    # Counts triples; the shorter ones are of single pixels.
    loop = max(inner_loops(compile_kernel("binary_conv2d/arm_neon_multiply.cc"), "bsl"), key=len)
    vector = [line for line in loop if re.match(r"^(eor|bsl|cnt|addp|uadalp) v\d", line)]
    macs = sum(line.startswith("bsl") for line in vector) * TRIPLE_VECTOR_MACS
    print(f"inner loop: {len(vector)} vector instructions of {len(loop) - 1} for {macs} products:")
    print(f"{macs / len(vector):.1f} products a vector instruction")
    print(f"(plain xor, popcount, add: {VECTOR_BITS / 3:.1f}; Larq's mix: {4096 / 96:.1f})\n")
    print(
        "| products a cycle | inner loop | bound by vector pipes | share | plain | Larq's mix | cnt alone |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, core in CORES.items():
        ours = macs / cycles("\n".join(loop), core)
        # The same instructions without dependences and loads.
        bound = macs / cycles("\n".join(independent(vector)), core)
        plain = 8 * VECTOR_BITS / cycles(PLAIN, core)
        larq = 4096 / cycles(LARQ, core)
        count = 8 * VECTOR_BITS / cycles(COUNT_ONLY, core)
        figures = f"{ours:.1f} | {bound:.1f} | {ours / bound:.0%} | {plain:.1f} | {larq:.1f} | {count:.0f}"
        print(f"| {name} | {figures} |")


def independent(vector: list[str]) -> Iterator[str]:
    """Yields instructions of the same kinds and number, none of which waits for another."""
    for i, line in enumerate(vector):
        name, into = line.split()[:2]
        sources = "v30.16b" if name in ("cnt", "uadalp") else "v30.16b, v31.16b"
        yield f"{name} v{i % 16}{into[into.index('.') :]} {sources}"


def print_int8_cycles() -> None:
    """Prints products per cycle of QuantConv2d's loops."""
    print("\n| int8 products a cycle | smlal | sdot |\n|---|---|---|")
    found: dict[str, list[str]] = {name: [] for name in CORES}
    for source, flags, instruction, macs in (
        ("arm_neon", (), "smlal", 4),
        ("arm_neon_dotprod", ("-mcpu=generic+dotprod",), "sdot", 16),
    ):
        loops = inner_loops(compile_kernel(f"quant_conv2d/{source}.cc", *flags), instruction)
        loop, products = max(
            ((loop, macs * sum(line.startswith(instruction) for line in loop)) for loop in loops),
            key=lambda one: one[1],
        )
        for name, core in CORES.items():
            has = instruction != "sdot" or core in WITH_DOTPROD
            found[name].append(f"{products / cycles(chr(10).join(loop), core):.1f}" if has else "-")
    for name, cells in found.items():
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    print_cycles()
    print_int8_cycles()
