"""The C++ tests as an Arm64 program: all kernels give the oracle's bits, and the oracle those of x86."""

import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from support.arm64 import CPUS, kernels_of, load_tool

GCC = "aarch64-linux-gnu"


def run(*command: str | Path) -> tuple[set[str], str]:
    """Runs the program; returns which kernels it tested, and the digest of all outputs."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 failures" in result.stdout.splitlines()
    (digest,) = re.findall(r"^digest ([0-9a-f]{16})$", result.stdout, re.MULTILINE)
    return set(re.findall(r"^kernel (\w+): tested$", result.stdout, re.MULTILINE)), digest


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    module = load_tool("kernel_tests")
    if reason := module.missing():
        pytest.skip(f"Arm64 kernels NOT tested: {reason}")
    return module


# One test, because pytest's workers must not build the same program at once.
def test_kernels_give_the_bits_of_x86(tool: ModuleType) -> None:
    tested, expected = run(tool.build(tool.NATIVE))
    assert "portable" in tested
    program = tool.build(tool.ARM64)
    for cpu in CPUS:
        tested, digest = run("env", f"QEMU_CPU={cpu}", tool.EMULATOR, program)
        assert tested == set(kernels_of(cpu)), cpu
        assert digest == expected, cpu
    # GCC too, which compiles them on the device (docs/arm.md).
    if shutil.which(f"{GCC}-g++"):
        emulator = ("env", f"QEMU_CPU={CPUS[-1]}", tool.EMULATOR, "-L", f"/usr/{GCC}")
        tested, digest = run(*emulator, tool.build_by_gcc(GCC))
        assert tested == set(kernels_of(CPUS[-1]))
        assert digest == expected
