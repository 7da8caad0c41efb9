"""The operator library as a file, and what it says about itself."""

import ctypes.util
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import OPERATORS, BinaryConv2dAttributes
from rbnn_deploy.runtimes import library
from rbnn_deploy.runtimes.library import get_library_path, library_info, popcount_peak
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model

EXPORTS = ["RegisterCustomOps", "rbnn_library_info", "rbnn_popcount_peak"]
NAMES = [kernel["name"] for kernel in library_info()["kernels"]]


def convolution() -> bytes:
    W, ones = np.zeros((4, 1, 1, 1), np.uint8), np.ones(4, np.float32)
    model = operator_model(W, ones, ones, BinaryConv2dAttributes(channels=8))
    return model.SerializeToString()


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_exports() -> None:
    command = ("nm", "--dynamic", "--defined-only", "--format=posix", get_library_path())
    symbols = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert sorted(line.split()[0] for line in symbols) == EXPORTS


@pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf")
def test_it_needs_the_c_library_alone() -> None:
    command = ("readelf", "--dynamic", "--wide", get_library_path())
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    needed = [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]
    assert needed
    assert all(name.startswith(("libc.", "libm.", "libpthread.", "ld-linux")) for name in needed)


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


def test_a_forced_kernel_of_any_bytes_is_refused_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RBNN_KERNEL", 'ä"\\' + "x" * 1000)
    sentence = r"""RBNN_KERNEL is '\\xc3\\xa4"\\xx+\.\.\.', which is no kernel"""
    with pytest.raises(UserError, match=sentence) as info:
        library_info()
    assert str(info.value).isascii()
    assert len(str(info.value)) < 300
    with pytest.raises(UserError, match="which is no kernel of this library"):
        popcount_peak()


def test_operators_are_those_of_python() -> None:
    assert list(library_info()["operators"]) == list(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_attributes_are_those_of_python(name: str) -> None:
    attributes = {a.pop("name"): a for a in library_info()["operators"][name]}
    # Names and their order, numbers of integers, and values of strings, in Python's one place for them.
    fields = OPERATORS[name].attributes.fields()
    assert list(attributes) == [field.name for field in fields]
    for field in fields:
        attribute = attributes[field.name]
        assert attribute.pop("type") == field.kind
        assert attribute.pop("count", None) == (field.count if field.kind == "INTS" else None)
        assert tuple(attribute.pop("choices", ())) == field.choices
        assert not attribute


def test_a_library_of_an_earlier_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Any library without our functions.
    monkeypatch.setattr(library, "get_library_path", lambda: ctypes.util.find_library("m"))
    with pytest.raises(UserError, match="is older than this program; install rbnn-deploy again"):
        library_info()
    damaged = tmp_path / "damaged.so"
    damaged.write_text("no library")
    monkeypatch.setattr(library, "get_library_path", lambda: str(damaged))
    with pytest.raises(UserError, match=r"cannot be loaded \(.*\); install rbnn-deploy again"):
        popcount_peak()


def test_a_missing_library_is_the_users_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "FILE_NAME", "librbnn_missing.so")
    with pytest.raises(UserError, match="not installed; install rbnn-deploy"):
        get_library_path()
