"""How NumPy pickles numbers and arrays: stand-ins, from whose bytes NumPy makes the values afterwards.

ndarray.__setstate__ and dtype.__setstate__ take flags that turn bytes into pointers, so no file gets them.
What is no number, or contradicts itself, stays a stand-in without a value.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_CODES = frozenset(["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
_ORDERS = ("|", "<", ">", "=")


class NumpyType:
    """Stands for a dtype.

    Attributes:
        value: The dtype; None where it is of no plain numbers.
    """

    __slots__ = ("_code", "value")

    def __init__(self, code: Any = None, *_: Any) -> None:
        text = code if type(code) is str else ""
        self._code = text[-2:] if text[-2:] in _CODES and text[:-2] in ("", *_ORDERS) else None
        self.value = None if self._code is None else np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        """Takes the byte order: (version, order, subtype, names, fields, size, alignment, flags)."""
        order = state[1] if type(state) is tuple and len(state) > 1 else None
        plain = type(state) is tuple and state[2:8] == (None, None, None, -1, -1, 0)
        self.value = np.dtype(f"{order}{self._code}") if self._code and plain and order in _ORDERS else None


class NumpyArray:
    """Stands for an ndarray, for its class, and for the function that makes an empty one.

    Attributes:
        value: The array; None where it is of no plain numbers.
    """

    __slots__ = ("value",)

    def __init__(self, *_: Any) -> None:
        self.value: npt.NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Takes (version, shape, dtype, whether Fortran's order, bytes)."""
        if type(state) is not tuple or len(state) != 5:
            return
        _, shape, dtype, fortran, content = state
        raw = _bytes(content)
        if raw is None or not isinstance(dtype, NumpyType) or dtype.value is None or type(shape) is not tuple:
            return
        # Each side first: a product of huge numbers takes huge memory.
        if len(shape) > 16 or not all(type(side) is int and 0 <= side <= len(raw) for side in shape):
            return
        if math.prod(shape) * dtype.value.itemsize == len(raw):
            self.value = np.frombuffer(raw, dtype.value).reshape(shape, order="F" if fortran else "C")


def scalar(dtype: Any, content: Any = None, *_: Any) -> Any:
    """Stands for the function that makes a NumPy number; returns Python's own.

    Returns:
        The number, or None where it is none.
    """
    raw = _bytes(content)
    if raw is None or not isinstance(dtype, NumpyType) or dtype.value is None:
        return None
    return np.frombuffer(raw, dtype.value)[0].item() if len(raw) == dtype.value.itemsize else None


def _bytes(content: Any) -> bytes | None:
    if type(content) is str:  # of Python 2, whose strings are bytes
        return content.encode("utf-8", "surrogateescape")
    return content if type(content) is bytes else None
