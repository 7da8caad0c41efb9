"""Counts the instructions of whole layers on Arm64 and estimates their cycles; prints a table of docs/arm.md.

    python tools/arm64/layers.py                      # all layers, all cores
    python tools/arm64/layers.py --layers 64@56 --cores cortex-a72 --functions

A layer is a 3 x 3 convolution with stride 1 and padding 1, as many outputs as inputs, float in and float
out, on one thread. `full` has the mean as its threshold, a residual and hardtanh; `bare` has the threshold
zero and neither.

QEMU executes the layer; executed.py counts its instructions and runs them through LLVM's models of cores:
without cache misses, with perfect branches. Behind the cycles stand their bounds, in brackets: the cycles for
which these instructions keep the pipes of vectors and those of loads busy, if nothing ever waits.

Needs the compiler of tools/wheels/requirements.txt, and two packages of Debian or Ubuntu: qemu-user-static
and llvm (docs/arm.md has the figures of llvm-19; its models differ from those of other versions).
"""

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import executed

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "arm64-layers"
TARGET = "aarch64-linux-musl"  # which Zig links statically
# Layers of ResNet-18 and of ResNet-20 (the last two): channels and size.
LAYERS = {
    "64@56": (64, 56),
    "128@28": (128, 28),
    "256@14": (256, 14),
    "512@7": (512, 7),
    "16@32": (16, 32),
    "32@16": (32, 16),
}
# By LLVM's names. The Neoverse N1 and V1 are the server editions of the Cortex-A76 and X1.
CORES = {"cortex-a53": "A53", "cortex-a72": "A72", "neoverse-n1": "N1 (A76)", "neoverse-v1": "V1 (X1)"}
KINDS = ("full", "bare")


def missing() -> str | None:
    """Says in a sentence what this machine lacks, or returns None."""
    packages = [] if shutil.which(executed.EMULATOR) else ["qemu-user-static"]
    if executed.newest("llvm-mca") is None or executed.newest("llvm-objdump") is None:
        packages.append("llvm")
    return f"needs {' and '.join(packages)}; run: apt-get install {' '.join(packages)}" if packages else None


def build() -> Path:
    """Builds the program that runs one layer, as the wheel is built, but static."""
    import ziglang  # noqa: PLC0415 - which only the wheels' environment has

    definitions = {
        "CMAKE_TOOLCHAIN_FILE": ROOT / "tools/wheels/zig.cmake",
        "RBNN_ZIG": Path(ziglang.__file__).parent / "zig",
        "RBNN_ZIG_TARGET": TARGET,
        "RBNN_BUILD_BENCHMARKS": "ON",
    }
    command = ["cmake", "-S", str(ROOT), "-B", str(BUILD), "-G", "Ninja"]
    command += [f"-D{name}={value}" for name, value in definitions.items()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", str(BUILD), "--target", "run_layer"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return BUILD / "runtimes/native/benchmarks/run_layer"


def print_functions(counts: Counter[str]) -> None:
    """Prints the instructions of each function, most first, down to half a percent."""
    total = counts.total()
    for name, count in counts.most_common():
        if count * 200 >= total:
            print(f"- {count:,} {name}", flush=True)


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="neon")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--cores", nargs="+", choices=CORES, default=list(CORES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--functions", action="store_true", help="print each function's instructions, too")
    arguments = parser.parse_args()
    if reason := missing():
        sys.exit(reason)
    program = executed.Program(build())
    columns = ["layer", "kind", "instructions, k", *(f"{CORES[core]}, k cycles" for core in arguments.cores)]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for layer in arguments.layers:
        for kind in arguments.kinds:
            command = [arguments.kernel, *map(str, LAYERS[layer]), kind, "2"]
            blocks = executed.log_of(program, command, "layer_begins", "layer_ends")
            counts = executed.by_function(program, blocks)
            cells = [layer, kind, f"{counts.total() / 1e3:.0f}"]
            for cost in executed.modelled(program, blocks, arguments.cores).values():
                cells.append(f"{cost.cycles / 1e3:.0f} ({cost.vector / 1e3:.0f}, {cost.load / 1e3:.0f})")
            print(f"| {' | '.join(cells)} |", flush=True)
            if arguments.functions:
                print_functions(counts)


if __name__ == "__main__":
    main()
