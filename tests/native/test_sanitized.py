"""The C++ tests, built with the address and undefined-behaviour sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Kept between runs (git ignores it), so that only what has changed is compiled again.
BUILD = ROOT / "build" / "sanitized"


def run(*command: str | Path, **variables: str) -> str:
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | variables, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
@pytest.mark.skipif(shutil.which("ninja") is None, reason="no ninja")
def test_kernels_under_sanitizers() -> None:
    options = ("-G", "Ninja", "-DRBNN_BUILD_TESTS=ON", "-DRBNN_SANITIZE=address,undefined")
    run("cmake", "-S", ".", "-B", BUILD, *options)
    run("cmake", "--build", BUILD, "--target", "rbnn_kernel_tests")
    output = run(
        BUILD / "tests/native/rbnn_kernel_tests",
        ASAN_OPTIONS="detect_leaks=1",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    assert "kernel portable: tested" in output
    assert "0 failures" in output


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_files_with_flags_of_their_own_share_no_function() -> None:
    # A function of a shared header, compiled here too, could be the copy that the linker keeps for the whole
    # library, and would then run on processors that lack the instruction set. So each has a kernel's name.
    objects = list(BUILD.glob("CMakeFiles/rbnn_kernels.dir/**/x86_*.o"))
    if not objects:
        pytest.skip("nothing built for x86: see the test above")
    for path in objects:
        symbols = run("nm", "--defined-only", "--format=posix", path).splitlines()
        functions = [line.split()[0] for line in symbols if line.split()[1] in "TWu"]
        assert [name for name in functions if "avx" not in name] == []
