"""A network as a list of C calls: what each reads and writes, before anything has a place in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Element = Literal["float", "uint32_t"]
ELEMENT_BYTES = 4  # of either
TableElement = Literal["float", "uint32_t", "int32_t", "int8_t"]
_DTYPES = {"float": np.float32, "uint32_t": np.uint32, "int32_t": np.int32, "int8_t": np.int8}


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory that some calls write and others read; one image at a time, so no batch.

    Attributes:
        name: For the reader of the C code.
        element: Its C type; each type has an arena of its own, so that no memory is read as another type.
        count: Elements.
    """

    name: str
    element: Element
    count: int


@dataclass(frozen=True)
class Table:
    """A constant array of weights.c.

    Attributes:
        name: C identifier.
        element: C type.
        values: 1-D, of that type.
        comment: Its shape and meaning.
    """

    name: str
    element: TableElement
    values: npt.NDArray[Any]
    comment: str


Places = Mapping[Buffer, str]


@dataclass(frozen=True)
class Step:
    """One call of model_run.

    Attributes:
        comment: Node, operator and shapes.
        call: Makes the C statement from the C expression of each buffer.
        reads: Buffers that it reads.
        writes: Buffers that it writes, scratch included.
        in_place: A buffer of `reads` whose memory the first of `writes` may take, if nobody reads it later.
        kernel: The C file below kernels/ that has the function.
        layer: The constant structure that describes the layer, as C text; empty where there is none.
        also: Further C files that the call needs.
        result: Name of the ONNX value that is in the first of `writes` afterwards; None for bits.
    """

    comment: str
    call: Callable[[Places], str]
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    kernel: str
    in_place: Buffer | None = None
    layer: str = ""
    also: tuple[str, ...] = ()
    result: str | None = None


@dataclass
class Program:
    """A whole network.

    Attributes:
        input, output: Buffers that the caller owns.
        input_shape: (C, H, W).
        steps: In order.
        tables: Constant arrays by their C names.
        vectors: Whether weights of binary layers may lie as WebAssembly's vectors take them.
    """

    input: Buffer
    output: Buffer
    input_shape: tuple[int, int, int]
    steps: list[Step] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    vectors: bool = False

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constant arrays."""
        return sum(table.values.nbytes for table in self.tables.values())


def as_table(values: npt.NDArray[Any], element: TableElement) -> npt.NDArray[Any]:
    """Returns values flat and of a table's type."""
    return np.ascontiguousarray(values, _DTYPES[element]).reshape(-1)
