"""Runs what asks for a `kernel` once per kernel of this host, forced by its name."""

import pytest

from rbnn_deploy.runtimes.library import library_info


@pytest.fixture(params=[kernel["name"] for kernel in library_info()["kernels"]])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name not in [kernel["name"] for kernel in library_info()["kernels"] if kernel["available"]]:
        pytest.skip(f"this processor cannot execute the kernel {name}")
    monkeypatch.setenv("RBNN_KERNEL", name)
    return name
