"""The operator library: its path and its description of itself."""

import ctypes
import json
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

import rbnn_deploy.runtimes
from rbnn_deploy.errors import UserError

FILE_NAME = "rbnn_ops.dll" if sys.platform == "win32" else "librbnn_ops.so"


def get_library_path() -> str:
    """Returns the path of the operator library, for `SessionOptions.register_custom_ops_library`.

    Raises:
        UserError: The library is not installed.
    """
    # An editable installation has two directories: the source tree's, and the one the library is built into.
    for directory in rbnn_deploy.runtimes.__path__:
        path = Path(directory) / FILE_NAME
        if path.is_file():
            return str(path)
    raise UserError(
        f"the operator library {FILE_NAME} is not installed; install rbnn-deploy with pip "
        "(in a checkout: `pip install -e . --no-build-isolation`), which needs a C++17 compiler"
    )


def library_info() -> dict[str, Any]:
    """Asks the operator library for its version, its kernels and its operators.

    Returns:
        `version`, `kernel` (the instruction set selected now, `RBNN_KERNEL` included), `kernels` (a list of
        `name` and `available`, best first), `cpu_features` (names) `operators` (of each its attributes) and
        `limits` (of each the sizes that bound it);
        `runtimes/native/info/info.h` describes them.

    Raises:
        UserError: The library is not installed, cannot be loaded, or refuses `RBNN_KERNEL`.
    """
    library = _load(get_library_path())
    size = library.rbnn_library_info(None, 0) + 1
    text = ctypes.create_string_buffer(size)
    library.rbnn_library_info(text, size)
    info: dict[str, Any] = json.loads(text.value)
    if (refusal := info.pop("error")) is not None:
        raise UserError(f"the operator library refuses to run: {refusal}")
    return info


def popcount_peak() -> float:
    """Measures how fast one thread can do the arithmetic of a binary convolution, and nothing else.

    The library runs exclusive or, population count and addition of whole vectors, in registers only, with
    the instruction set that a layer would use now, for about a quarter of a millisecond. Each bit counts as
    one multiply-accumulate. A single measurement errs where the clock changes or another program takes the
    core: measure often, beside the thing that is compared with it, and take medians.

    Returns:
        G binary multiply-accumulates per second.

    Raises:
        UserError: The library is not installed, cannot be loaded, or refuses `RBNN_KERNEL`.
    """
    rate: float = _load(get_library_path()).rbnn_popcount_peak()
    if math.isnan(rate):
        library_info()  # says why
    return rate / 1e9


@cache
def _load(path: str) -> ctypes.CDLL:
    """Loads the library, which stays loaded, and declares its functions (runtimes/native/info/info.h)."""
    try:
        library = ctypes.CDLL(path)
        library.rbnn_library_info.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        library.rbnn_library_info.restype = ctypes.c_size_t
        library.rbnn_popcount_peak.argtypes = []
        library.rbnn_popcount_peak.restype = ctypes.c_double
    except OSError as error:
        raise UserError(
            f"the operator library {path} cannot be loaded ({error}); install rbnn-deploy again"
        ) from error
    except AttributeError as error:
        raise UserError(
            f"the operator library {path} is older than this program; install rbnn-deploy again"
        ) from error
    return library
