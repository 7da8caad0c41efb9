"""Tensors as a file of torch.save describes them, checked before a byte of them is read.

torch.load gives a tensor whatever shape the file says, and takes the memory for it. Here a tensor is a
description until it is asked for, and a description that its storage does not bear out is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rbnn_deploy.errors import UserError

LARGEST_DIMENSIONS = 16

NUMBERS = frozenset(
    (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
)


class DescriptionError(Exception):
    """A tensor's description contradicts itself or its storage."""


class Unchanging:
    """What a pickle may refer to and not change: its BUILD instruction sets any attribute otherwise."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise DescriptionError


class Storages(Protocol):
    """The bytes of a file's storages."""

    def read(self, key: str, size: int) -> bytes | memoryview:
        """Returns the bytes of a storage, which must be `size` of them."""


@dataclass(frozen=True)
class Storage(Unchanging):
    """A run of elements in the file, which several tensors may share.

    Attributes:
        key: Its name in the file.
        dtype: Of its elements; uint8 where the file says bytes only.
        numel: How many elements it has.
    """

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor(Unchanging):
    """A plain tensor in the file.

    Attributes:
        storage: Where its elements are.
        dtype: Of its elements.
        offset: Its first element, counted from the storage's.
        shape: Its sizes.
        stride: Its strides, in elements.
    """

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def checked(
        cls, storage: Any, dtype: torch.dtype, offset: Any, shape: Any, stride: Any
    ) -> "StoredTensor":
        """Describes a tensor.

        Raises:
            DescriptionError: It is not inside its storage, or no description.
        """
        sizes = [offset, *shape, *stride]
        if not isinstance(storage, Storage) or not all(type(size) is int and size >= 0 for size in sizes):
            raise DescriptionError
        if len(shape) != len(stride) or len(shape) > LARGEST_DIMENSIONS:
            raise DescriptionError
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        if 0 not in shape and (last + 1) * dtype.itemsize > storage.nbytes:
            raise DescriptionError
        return cls(storage, dtype, offset, tuple(shape), tuple(stride))

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory, which are more than its storage's where a stride is 0."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class UnreadTensor(Unchanging):
    """A tensor of a kind that is not read.

    Attributes:
        kind: Of what kind, after "it is".
        shape: As for a plain one; nothing is known of it.
    """

    kind: str
    shape: tuple[int, ...] = ()
    nbytes: int = 0


AnyTensor = Tensor | StoredTensor | UnreadTensor


def read_tensors(tensors: Mapping[str, StoredTensor], storages: Storages, swapped: bool) -> dict[str, Tensor]:
    """Reads tensors; a storage that several share is read once.

    Args:
        tensors: By name.
        storages: The file's.
        swapped: Whether the file's byte order is not this machine's.

    Raises:
        UserError: A storage is missing, or has another size.
    """
    buffers: dict[str, bytearray] = {}
    result = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        if storage.key not in buffers:
            content = bytearray(storages.read(storage.key, storage.nbytes))
            width = storage.dtype.itemsize
            if swapped and width > 1:
                np.frombuffer(content, f"u{width}").byteswap(inplace=True)
            buffers[storage.key] = content
        buffer = buffers[storage.key]
        count = len(buffer) // tensor.dtype.itemsize
        whole = torch.frombuffer(buffer, dtype=tensor.dtype, count=count) if count else torch.empty(0)
        result[name] = whole.to(tensor.dtype).as_strided(tensor.shape, tensor.stride, tensor.offset)
    return result


def check_total(tensors: Mapping[str, AnyTensor], file_size: int) -> None:
    """Checks that tensors take no more memory than their file explains; shared weights count twice.

    Raises:
        UserError: They take more.
    """
    limit = 4 * file_size + (1 << 20)
    if (total := sum(tensor.nbytes for tensor in tensors.values())) > limit:
        raise UserError(
            f"its tensors take {total:,} bytes and the file has {file_size:,}; save it again with torch.save"
        )
