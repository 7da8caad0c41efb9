"""Reads pickles of integer arrays and built-in containers without trusting them.

A pickle is a program: it looks objects up by name, calls them and sets their state. NumPy's own objects are
not for one that somebody else wrote: ndarray.__setstate__ and dtype.__setstate__ take flags that turn bytes
into pointers. So a pickle gets stand-ins, which check and keep their arguments, and NumPy makes the
array from their bytes afterwards.
"""

import functools
import io
import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.pickle_check import BUILT_IN, check_pickle

# CIFAR-100's training images, the largest that is published, take 155 MB.
MAX_BYTES = 1 << 28

_INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
_BYTE_ORDERS = ("|", "<", ">")


class PickledArray:
    """Stands for an ndarray, for its class, and for the function that makes an empty one.

    Attributes:
        array: The array; absent until the pickle has described it.
    """

    array: npt.NDArray[np.integer[Any]]

    def __init__(self, *_: Any) -> None:
        """Takes the class, shape and type of the empty array, which mean nothing."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _PickledType) or type(content) is not bytes:
            raise pickle.UnpicklingError("an array of anything but integers is not allowed")
        # Each side first: a product of huge numbers takes huge memory.
        if not all(type(side) is int and 0 <= side <= len(content) for side in shape) or len(shape) > 2:
            raise pickle.UnpicklingError("an array of this shape is not allowed")
        if math.prod(shape) * dtype.value.itemsize != len(content):
            raise pickle.UnpicklingError("an array whose bytes are too few or too many is not allowed")
        self.array = np.frombuffer(content, dtype.value).reshape(shape, order="F" if is_fortran else "C")


class _PickledType:
    """Stands for a dtype."""

    value: np.dtype[np.integer[Any]]

    def __init__(self, code: Any, *_: Any) -> None:
        text = code.decode("ascii") if type(code) is bytes else code
        if type(text) is not str or text[-2:] not in _INTEGERS or text[:-2] not in ("", *_BYTE_ORDERS):
            raise pickle.UnpicklingError("an array of anything but integers is not allowed")
        self._code = text[-2:]
        self.value = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, no subtype, names or fields, no size or alignment of its own, no flags)
        _, order, *rest = state
        order = order.decode("ascii") if type(order) is bytes else order
        if order not in _BYTE_ORDERS or rest != [None, None, None, -1, -1, 0]:
            raise pickle.UnpicklingError("an array of anything but integers is not allowed")
        self.value = np.dtype(f"{order}{self._code}")


def _encode(text: Any, encoding: Any) -> bytes:
    """Stands for codecs.encode: how Python 3 writes bytes into pickles that Python 2 can read."""
    if type(text) is not str or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("an encoding other than latin1 is not allowed")
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    """Finds the stand-ins in its own table, and imports nothing that the file names."""

    def __init__(self, content: bytes) -> None:
        # Python 2's strings are bytes.
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._found = {
            ("numpy.core.multiarray", "_reconstruct"): PickledArray,
            ("numpy._core.multiarray", "_reconstruct"): PickledArray,
            ("numpy", "ndarray"): PickledArray,
            ("numpy", "dtype"): _PickledType,
            # Cached, so that a file cannot make one text into bytes thousands of times. Its own, so that what
            # a file may do to a function's attributes ends with it.
            ("_codecs", "encode"): functools.cache(_encode),
        }

    def find_class(self, module: str, name: str) -> Any:
        """Looks a global up; refuses all that the table does not have."""
        if (module, name) not in self._found:
            raise pickle.UnpicklingError(f"{f'{module}.{name}'[:80]!a} is not allowed")
        return self._found[module, name]


def load_array_pickle(content: bytes) -> Any:
    """Reads a pickle of built-in containers, numbers and strings, and of integer arrays up to two dimensions.

    Args:
        content: The pickle, of protocol 0 to 4, written by Python 2 or 3.

    Returns:
        Its content; `PickledArray` where it has an array, and bytes where Python 2 had a string.

    Raises:
        pickle.UnpicklingError: It asks for anything else.
        Exception: Nearly any other, where it is damaged.
    """
    if len(content) > MAX_BYTES:
        raise pickle.UnpicklingError(f"more than {MAX_BYTES} bytes are not allowed")
    check_pickle(content, BUILT_IN)
    return _ArrayUnpickler(content).load()
