"""Compiles generated C and runs it in this process, with every value that it computes on the way."""

import ctypes
import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from rbnn_deploy.exporters.c import CExport, export_c
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime

# ziglang, a package of Python, holds clang. Without a target it looks for this system's C library, which
# fails at times when several look at once; with one it takes its own.
ZIG = (
    (sys.executable, "-m", "ziglang", "cc", "-target", f"{platform.machine()}-linux-gnu")
    if importlib.util.find_spec("ziglang")
    else ()
)


def _command(compiler: str) -> tuple[str, ...]:
    """Returns the words that start a compiler; none where it is not here."""
    found = shutil.which(compiler)
    return (found,) if found else ZIG if compiler == "clang" else ()


WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
COMPILERS = [
    pytest.param(words, marks=pytest.mark.skipif(not _command(words[0]), reason=f"{words[0]} is not here"))
    for words in (
        ("gcc", "-O2"),
        ("gcc", "-O3", "-march=native"),
        # Fused multiply-adds are allowed by this dialect, and the file must forbid them itself.
        ("gcc", "-O3", "-march=native", "-std=gnu99"),
        ("clang", "-O2"),
        ("clang", "-O3", "-march=native"),
    )
]
needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")

WATCH_H = """\
extern void (*model_watch)(const char *name, const float *values, int count);
#define MODEL_WATCH(name, values, count) if (model_watch) model_watch(name, values, count)
"""
WATCH_C = "void (*model_watch)(const char *name, const float *values, int count);\n"
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.POINTER(ctypes.c_float), ctypes.c_int)


def write_c(model: onnx.ModelProto | Path, folder: Path) -> CExport:
    """Generates C from a model, beside which it is stored."""
    path = model if isinstance(model, Path) else folder / "model.onnx"
    if not isinstance(model, Path):
        onnx.save(model, path)
    return export_c(path, folder / "c", lambda x: NumpyRuntime(path, in_order=True).run(x))


def compiles(command: list[str]) -> None:
    """Runs a compiler; its messages are the test's if it fails."""
    command = [*_command(command[0]), *command[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]


@dataclass
class Model:
    """A compiled model.

    Attributes:
        result: What the exporter said.
        library: The shared library.
    """

    result: CExport
    library: ctypes.CDLL

    def run(self, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Runs one image float32 [C, H, W]; returns the output and every value, both flat."""
        values: dict[str, np.ndarray] = {}

        def watch(name: bytes, floats: object, count: int) -> None:
            values[name.decode()] = np.ctypeslib.as_array(floats, (count,)).copy()

        callback = CALLBACK(watch)
        ctypes.c_void_p.in_dll(self.library, "model_watch").value = ctypes.cast(
            callback, ctypes.c_void_p
        ).value
        output = np.zeros(self.result.program.output.count, np.float32)
        given = np.ascontiguousarray(x, np.float32)
        assert self.library.model_run(_pointer(given), _pointer(output)) == 0
        return output, values

    def run_image(self, pixels: np.ndarray) -> np.ndarray:
        """Runs uint8 [H, W, C]."""
        ctypes.c_void_p.in_dll(self.library, "model_watch").value = None
        output = np.zeros(self.result.program.output.count, np.float32)
        assert self.library.model_run_image(_pointer(np.ascontiguousarray(pixels)), _pointer(output)) == 0
        return output


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def build(model: onnx.ModelProto | Path, folder: Path, compiler: tuple[str, ...] = ("cc", "-O1")) -> Model:
    """Generates, compiles without a warning, and loads."""
    result = write_c(model, folder)
    (folder / "watch.h").write_text(WATCH_H)
    (folder / "watch.c").write_text(WATCH_C)
    target = folder / "model.so"
    sources = [str(result.folder / name) for name in ("model.c", "weights.c")]
    flags = [*WARNINGS, *compiler[1:], "-shared", "-fPIC", "-include", str(folder / "watch.h")]
    compiles([compiler[0], *flags, "-o", str(target), *sources, str(folder / "watch.c")])
    return Model(result, ctypes.CDLL(str(target)))
