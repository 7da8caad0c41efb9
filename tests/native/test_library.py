"""The operator library as a file, and what it says about itself."""

import itertools
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.runtimes import library
from rbnn_deploy.runtimes.library import get_library_path, library_info
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model

NAMES = [kernel["name"] for kernel in library_info()["kernels"]]


def convolution() -> bytes:
    W, ones = np.zeros((4, 1, 1, 1), np.uint8), np.ones(4, np.float32)
    model = operator_model(W, ones, ones, BinaryConv2dAttributes(channels=8))
    return model.SerializeToString()


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_the_entry_point_is_the_only_export() -> None:
    command = ("nm", "--dynamic", "--defined-only", "--format=posix", get_library_path())
    symbols = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.split()[0] for line in symbols] == ["RegisterCustomOps"]


@pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf")
def test_it_needs_the_c_library_alone() -> None:
    command = ("readelf", "--dynamic", "--wide", get_library_path())
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    needed = [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]
    assert needed
    assert all(name.startswith(("libc.", "libm.", "libpthread.", "ld-linux")) for name in needed)


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="this is no x86 processor")
def test_files_with_flags_of_their_own_share_no_function() -> None:
    # A function of a shared header, compiled here too, could be the copy that the linker keeps for the whole
    # library, and would then run on processors that lack the instruction set. So each has a kernel's name.
    builds = list(ROOT.glob("build/py3-none-*x86_64"))
    if not builds:
        pytest.skip("the library was not built in this checkout")
    # What the build has left of files that are no more does not count.
    sources = [path.relative_to(ROOT) for path in (ROOT / "runtimes/native/kernels").rglob("x86_*.cc")]
    assert sources
    for build, source in itertools.product(builds, sources):
        path = build / "CMakeFiles/rbnn_kernels.dir" / f"{source}.o"
        command = ("nm", "--defined-only", "--format=posix", path)
        symbols = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        shared = [line.split()[0] for line in symbols if line.split()[1] in "TWuVD"]
        assert shared, source
        assert [name for name in shared if "avx" not in name] == [], source


def test_info_of_this_build() -> None:
    info = library_info()
    assert info["version"] == rbnn_deploy.__version__
    assert NAMES[-1] == "portable"
    assert info["kernels"][-1] == {"name": "portable", "available": True}
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and cpuinfo.exists():
        (flags,) = set(re.findall(r"^flags\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE))
        assert [name for name in ("avx2", "fma") if name in flags.split()] == [
            name for name in info["cpu_features"] if name in ("avx2", "fma")
        ]


def test_the_best_kernel_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("RBNN_KERNEL", raising=False)
        else:
            monkeypatch.setenv("RBNN_KERNEL", value)
        info = library_info()
        assert info["kernel"] == next(k["name"] for k in info["kernels"] if k["available"])


@pytest.mark.parametrize("name", NAMES)
def test_a_forced_kernel_took(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    available = {kernel["name"]: kernel["available"] for kernel in library_info()["kernels"]}
    monkeypatch.setenv("RBNN_KERNEL", name)
    if available[name]:
        assert library_info()["kernel"] == name
        create_session(convolution(), library=True)
    else:
        with pytest.raises(UserError, match="which this processor cannot execute"):
            library_info()


def test_an_unknown_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBNN_KERNEL", "avx9000")
    sentence = "RBNN_KERNEL is 'avx9000', which is no kernel of this library; this machine has .*portable"
    with pytest.raises(UserError, match=sentence):
        library_info()
    with pytest.raises(Exception, match=sentence):
        create_session(convolution(), library=True)


def test_a_missing_library_is_the_users_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "FILE_NAME", "librbnn_missing.so")
    with pytest.raises(UserError, match="not installed; install rbnn-deploy"):
        get_library_path()
