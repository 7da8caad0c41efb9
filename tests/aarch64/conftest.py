"""The emulated Arm64 machine that `make test-aarch64` sets up."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from support.arm64 import CPUS, kernels_of, load_tool
from support.paths import ROOT

Emulate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session", params=CPUS)
def emulate(request: pytest.FixtureRequest) -> Emulate:
    """Runs `device.py` with arguments on one processor and returns what it prints."""
    arm64 = load_tool("setup")
    if os.environ.get("RBNN_TEST_AARCH64") != "1":
        pytest.skip("takes minutes; `make test-aarch64` runs it")
    if reason := arm64.missing():
        pytest.skip(f"cannot emulate Arm64 here: {reason}")

    def run(*arguments: object) -> dict[str, Any]:
        script = ROOT / "tests/aarch64/device.py"
        command = [arm64.emulated_python(request.param), script, *map(str, arguments)]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        )
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout.splitlines()[-1])
        assert found["machine"] == "aarch64"
        assert found["kernel"] == kernels_of(request.param)[0]
        print(request.param, found)
        return found

    return run
