"""The C++ tests under sanitizers: addresses, leaks and undefined behaviour; and races."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Kept between runs (git ignores it), so that only what has changed is compiled again.
BUILDS = {"address,undefined": ROOT / "build" / "sanitized", "thread": ROOT / "build" / "sanitized-threads"}
PROGRAMS = ("rbnn_kernel_tests", "rbnn_adapter_tests")


def run(*command: str | Path, **variables: str) -> str:
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | variables, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake")
@pytest.mark.skipif(shutil.which("ninja") is None, reason="no ninja")
@pytest.mark.parametrize("sanitizers", BUILDS)
def test_native_code_under_sanitizers(sanitizers: str) -> None:
    build = BUILDS[sanitizers]
    options = ("-G", "Ninja", "-DRBNN_BUILD_TESTS=ON", f"-DRBNN_SANITIZE={sanitizers}")
    run("cmake", "-S", ".", "-B", build, *options)
    run("cmake", "--build", build, "--target", *PROGRAMS)
    for program in PROGRAMS:
        output = run(
            build / "tests/native" / program,
            ASAN_OPTIONS="detect_leaks=1",
            UBSAN_OPTIONS="print_stacktrace=1",
            TSAN_OPTIONS="halt_on_error=1",
        )
        assert "kernel portable: tested" in output
        assert "0 failures" in output
