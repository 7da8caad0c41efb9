"""The C functions of exporters/c/kernels, compiled alone and called with structures made here."""

import ctypes
from pathlib import Path
from typing import Any, Self

import numpy as np
from support.generated_c import WARNINGS, compiles
from support.operator_cases import Case

from rbnn_deploy.exporters.c.text import KERNELS, NEEDS

ACTIVATIONS = ("none", "hardtanh", "relu", "prelu")  # the order of C's enumeration
GUARD = 0xDEADBEEF


class Windows(ctypes.Structure):
    """struct binary_windows."""

    _fields_ = [
        (name, ctypes.c_int)
        for name in (
            *("height", "width", "channels", "groups", "out_height", "out_width", "outputs"),
            *("kernel_height", "kernel_width", "stride_y", "stride_x", "pad_top", "pad_left"),
            *("dilation_y", "dilation_x", "words"),
        )
    ]

    @classmethod
    def of(cls, case: Case, words: np.ndarray) -> Self:
        """Describes a case whose weights are `words`, uint32 [outputs, words]."""
        a, size = case.attributes, case.arrays()["X"].shape[1:3]
        return cls(
            *size, a.channels, a.groups, *a.output_size(size, case.kernel), case.outputs, *case.kernel,
            *a.strides, *a.pads[:2], *a.dilations, words.shape[1],
        )  # fmt: skip

    @property
    def out_size(self) -> tuple[int, int]:
        """(OH, OW)."""
        return self.out_height, self.out_width

    @property
    def bit_words(self) -> int:
        """Words of the packed activations."""
        return self.groups * self.height * -(-self.width * (self.channels // self.groups) // 32)


def compile_kernels(
    names: tuple[str, ...], source: str, folder: Path, compiler: tuple[str, ...]
) -> ctypes.CDLL:
    """Compiles kernels, with what they need, and the functions of `source` that call them."""
    ordered: list[str] = ["common"]
    for name in names:
        ordered += [part for part in (*NEEDS.get(name, ()), name) if part not in ordered]
    (folder / "layer.c").write_text("\n".join((KERNELS / f"{n}.h").read_text() for n in ordered) + source)
    command = [compiler[0], *WARNINGS, *compiler[1:], "-shared", "-fPIC"]
    compiles([*command, "-o", str(folder / "layer.so"), str(folder / "layer.c")])
    return ctypes.CDLL(str(folder / "layer.so"))


def guarded(words: int) -> np.ndarray:
    """Returns memory of uint32 with a guard behind what the code may use."""
    return np.full(words + 1, GUARD, np.uint32)


def pointer(array: np.ndarray) -> Any:
    """Returns an array's address as an argument."""
    return array.ctypes.data_as(ctypes.c_void_p)
