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
