"""Builds the C++ tests for Arm64, as one static program that QEMU runs without an Arm64 system around it.

    python tools/arm64/kernel_tests.py

Writes build/aarch64-tests, and build/tests for this machine; tests/aarch64/test_kernels.py compares what they
print. Installs QEMU where it is missing and this is a Debian or Ubuntu and root. Needs the compiler of
tools/wheels/requirements.txt, which compiles its C and C++ libraries first: some two minutes, once.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = "qemu-aarch64-static"
PACKAGE = "qemu-user-static"
TARGET = "aarch64-linux-musl"  # which Zig links statically
PROGRAM = "rbnn_kernel_tests"
# Of this machine, and for Arm64.
NATIVE, ARM64 = ROOT / "build" / "tests", ROOT / "build" / "aarch64-tests"


def missing() -> str | None:
    """Says in a sentence why the tests cannot run, or returns None."""
    if shutil.which(EMULATOR) is None:
        return f"needs {EMULATOR}; run: apt-get install {PACKAGE}"
    if not (ARM64 / "CMakeCache.txt").is_file():
        return "needs the Arm64 program; run: make test-aarch64-kernels"
    return None


def install_emulator() -> None:
    """Installs QEMU by apt, where that is possible without asking anybody."""
    if shutil.which(EMULATOR) is not None or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", PACKAGE]):
        subprocess.run(["apt-get", "--quiet=2", *arguments], check=False, env=environment)


def configure() -> None:
    """Configures both builds."""
    import ziglang  # noqa: PLC0415 - which only the wheels' environment has

    options = {
        "CMAKE_TOOLCHAIN_FILE": ROOT / "tools/wheels/zig.cmake",
        "RBNN_ZIG": Path(ziglang.__file__).parent / "zig",
        "RBNN_ZIG_TARGET": TARGET,
    }
    for folder, definitions in ((NATIVE, {}), (ARM64, options)):
        command = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DRBNN_BUILD_TESTS=ON"]
        command += [f"-D{name}={value}" for name, value in definitions.items()]
        subprocess.run(command, check=True)


def build(folder: Path) -> Path:
    """Compiles the files that have changed, and returns the program."""
    subprocess.run(["cmake", "--build", str(folder), "--target", PROGRAM], check=True)
    return folder / "tests" / "native" / PROGRAM


def build_by_gcc(prefix: str) -> Path:
    """Builds the Arm64 program with a GCC of this machine, whose names begin with a prefix."""
    folder = ROOT / "build" / "aarch64-gcc-tests"
    definitions = {
        "CMAKE_CXX_COMPILER": f"{prefix}-g++",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
    }
    command = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DRBNN_BUILD_TESTS=ON"]
    command += [f"-D{name}={value}" for name, value in definitions.items()]
    subprocess.run(command, check=True)
    return build(folder)


def main() -> None:
    """Builds both, if they can be run here."""
    install_emulator()
    if shutil.which(EMULATOR) is None:
        print(f"the Arm64 kernels are NOT tested here: {missing()}", file=sys.stderr)
        return
    print("configuring; the first time, Zig compiles its libraries", flush=True)
    configure()
    for folder in (NATIVE, ARM64):
        build(folder)


if __name__ == "__main__":
    main()
