"""`library`: the path that a C or C++ program gives to ONNX Runtime."""

import ctypes
from collections.abc import Callable
from pathlib import Path

from rbnn_deploy import get_library_path


def test_the_path_alone_is_printed_and_the_file_registers_operators(cli: Callable) -> None:
    outcome = cli("library")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"{get_library_path()}\n"
    assert hasattr(ctypes.CDLL(str(Path(outcome.out.strip()))), "RegisterCustomOps")
