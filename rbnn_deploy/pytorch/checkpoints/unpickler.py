"""Reads the pickle of a checkpoint without running anything that it names.

torch.load(weights_only=True) refuses every file with an object of another class beside the weights, such as
the arguments of the training, and takes whatever memory a tensor's description asks for. This unpickler is
narrower and takes more: a file gets descriptions in the place of tensors, and an inert stand-in in the place
of any other object. No module is imported and no function is called but those of this package.
"""

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any, Self

import torch

from rbnn_deploy.pickle_check import EVERY_OBJECT, check_pickle
from rbnn_deploy.pytorch.checkpoints.numpy_objects import NumpyArray, NumpyType, scalar
from rbnn_deploy.pytorch.checkpoints.stored_tensor import Storage
from rbnn_deploy.pytorch.checkpoints.torch_objects import (
    FUNCTIONS,
    Function,
    storage_class,
    storage_of,
)

MOST_NAMES = 1000  # of classes and functions in one file
_KEYS = (str, bytes, int, float, bool, type(None))

# What a training may well keep beside its weights. Anything else of Python's own library that a file names,
# such as os.system, is there to be run; such a file is refused, although nothing would run.
_HARMLESS_MODULES = frozenset(
    [
        "argparse",
        "collections",
        "copyreg",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "numbers",
        "pathlib",
        "re",
        "time",
        "types",
        "typing",
        "uuid",
        "zoneinfo",
        "__main__",
    ]
)
_HARMLESS_BUILT_INS = frozenset(
    [
        "set",
        "frozenset",
        "complex",
        "bytearray",
        "slice",
        "range",
        "object",
        "int",
        "long",
        "float",
        "str",
        "unicode",
        "list",
        "dict",
        "tuple",
        "bool",
        "bytes",
        "type",
        "NotImplemented",
        "Ellipsis",
    ]
)
# Packages that everybody has, and whose objects nobody misses.
_UNREMARKABLE = ("builtins", "__builtin__", "torch", "numpy", "copyreg", "collections")
_BUILT_INS = ("builtins", "__builtin__")
_PYTHONS_OWN = frozenset(sys.stdlib_module_names) | {"__builtin__", "posix", "nt", "commands", "os2"}


class RefusedError(Exception):
    """The file names something that is there to be run; the message is its name."""


class StandIn:
    """Stands for an object of a class that is not loaded: takes what the file gives it, and forgets it."""

    __slots__ = ()
    name = ""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Takes any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes any arguments."""

    def __setstate__(self, state: Any) -> None:
        """Takes any state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Takes the entries of a subclass of dict."""

    def append(self, value: Any) -> None:
        """Takes an element of a subclass of list."""

    def extend(self, values: Any) -> None:
        """Takes the elements of a subclass of list."""

    def add(self, value: Any) -> None:
        """Takes an element of a subclass of set."""


class Dict(dict[Any, Any]):
    """Stands for OrderedDict, defaultdict and Counter."""

    __slots__ = ()

    def __init__(self, entries: Any = (), *_: Any) -> None:
        super().__init__()
        if isinstance(entries, dict):
            entries = list(entries.items())
        # Python 2 writes an OrderedDict as a list of pairs; a defaultdict has its factory in their place.
        for pair in entries if isinstance(entries, list | tuple) else ():
            if len(pair) != 2 or not isinstance(pair[0], _KEYS):
                raise pickle.UnpicklingError("a dict of anything but pairs is not allowed")
            self[pair[0]] = pair[1]

    def __setstate__(self, state: Any) -> None:
        """Forgets attributes, such as the versions that torch keeps with a state dict."""


class CheckpointUnpickler(pickle.Unpickler):
    """Finds the stand-ins, by tables and not by importing what the file names.

    Args:
        content: The pickle, which `check_pickle` has passed.
    """

    def __init__(self, content: bytes) -> None:
        # Python 2's strings may be bytes; with these errors they can be encoded back.
        super().__init__(io.BytesIO(content), encoding="utf-8", errors="surrogateescape")
        self.storages: dict[str, Storage] = {}
        self.stand_ins: dict[str, type[StandIn]] = {}
        self._found: dict[tuple[str, str], Any] = {}

    def persistent_load(self, pid: Any) -> Storage:
        """Describes a storage."""
        storage = storage_of(pid)
        return self.storages.setdefault(storage.key, storage)

    def find_class(self, module: str, name: str) -> Any:
        """Looks a global up.

        Raises:
            RefusedError: It is one of Python's own that runs something.
        """
        if (module, name) not in self._found:
            if len(self._found) == MOST_NAMES:
                raise pickle.UnpicklingError(f"more than {MOST_NAMES} names are not allowed")
            self._found[module, name] = self._find(module, name)
        return self._found[module, name]

    def _find(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return Function(_FUNCTIONS[module, name])
        if (module, name) == ("_codecs", "encode"):
            return Function(_Encoder())
        if module == "collections" and name in ("OrderedDict", "defaultdict", "Counter"):
            return type(name, (Dict,), {"__slots__": ()})
        if module == "torch" and isinstance(dtype := vars(torch).get(name), torch.dtype):
            return dtype
        return storage_class(module, name) or self._stand_in(module, name)

    def _stand_in(self, module: str, name: str) -> type[StandIn]:
        full = f"{module}.{name}"
        package = module.partition(".")[0]
        if module in _BUILT_INS:
            harmless = name in _HARMLESS_BUILT_INS
        else:
            harmless = package in _HARMLESS_MODULES or package not in _PYTHONS_OWN
        if not harmless or "." in name:
            raise RefusedError(printable(full.removeprefix("builtins.").removeprefix("__builtin__.")))
        stand_in: type[StandIn] = type("StandIn", (StandIn,), {"__slots__": (), "name": printable(full)})
        if package not in _UNREMARKABLE:
            self.stand_ins[stand_in.name] = stand_in
        return stand_in


class _Encoder:
    """Stands for codecs.encode: how Python 3 writes bytes into pickles that Python 2 can read.

    A text is made into bytes once, so that a small file cannot have it made thousands of times.
    """

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if type(text) is not str or encoding != "latin1":
            raise pickle.UnpicklingError("an encoding other than latin1 is not allowed")
        return self._known.setdefault(text, text.encode("latin1"))


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    **FUNCTIONS,
    ("numpy", "dtype"): NumpyType,
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", NumpyArray), ("scalar", scalar))
    },
}


def printable(name: object) -> str:
    """Returns a file's text as a message can show it: short, and without what a terminal would obey."""
    text = str(name) if isinstance(name, str | int | float | bool) else type(name).__name__
    shown = "".join(c if c.isprintable() else "?" for c in text[:80])
    return f"{shown}..." if len(text) > 80 else shown


def load_pickle(content: bytes, start: int = 0) -> tuple[Any, int, CheckpointUnpickler]:
    """Reads one pickle.

    Args:
        content: Bytes that hold it.
        start: Where it begins.

    Returns:
        What it holds, with stand-ins and descriptions of tensors; where it ends; the unpickler, which knows
        the storages and the classes that are not loaded.

    Raises:
        RefusedError: It names something that is there to be run.
        Exception: Nearly any other, where it is damaged.
    """
    end = check_pickle(content, EVERY_OBJECT, start)
    unpickler = CheckpointUnpickler(content[start:end])
    return unpickler.load(), end, unpickler
