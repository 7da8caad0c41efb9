"""How torch pickles its tensors: functions that describe them, by the names that files call them by.

Source: torch/_utils.py, whose `_rebuild_...` functions make the tensors.
"""

from collections.abc import Callable
from typing import Any

import torch

from rbnn_deploy.pytorch.checkpoints.stored_tensor import (
    DescriptionError,
    Storage,
    StoredTensor,
    Unchanging,
    UnreadTensor,
)

# Classes of storages, by the names of the days before storages were untyped.
STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "UntypedStorage": torch.uint8,
    # Whatever has these is not read; their sizes do not matter.
    "QUInt8Storage": torch.quint8,
    "QInt8Storage": torch.qint8,
    "QInt32Storage": torch.qint32,
    "QUInt4x2Storage": torch.quint4x2,
    "QUInt2x4Storage": torch.quint2x4,
}
_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")


class StorageClass(Unchanging):
    """Stands for a class of storages; a file cannot change it.

    Args:
        dtype: Of the elements.
    """

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class Function(Unchanging):
    """Stands for a function; a file can call it, and cannot change it.

    Args:
        call: What computes its result.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        """Computes the result."""
        return self._call(*arguments)


def storage_class(module: str, name: str) -> StorageClass | None:
    """Returns what stands for a class of storages; None where the name is of none."""
    dtype = STORAGES.get(name) if module in _STORAGE_MODULES else None
    return None if dtype is None else StorageClass(dtype)


def storage_of(persistent_id: Any) -> Storage:
    """Describes the storage that a persistent id stands for.

    Raises:
        DescriptionError: The id is of no storage.
    """
    if type(persistent_id) is not tuple or len(persistent_id) not in (5, 6):
        raise DescriptionError
    word, kind, key, _, numel, *view = persistent_id
    # Files of 2016 have storages that are parts of others.
    if word not in ("storage", b"storage") or any(part is not None for part in view):
        raise DescriptionError
    if not isinstance(kind, StorageClass) or type(key) is not str or type(numel) is not int or numel < 0:
        raise DescriptionError
    return Storage(key, kind.dtype, numel)


def _rebuild_tensor(storage: Storage, offset: int, size: Any, stride: Any) -> StoredTensor | UnreadTensor:
    if not isinstance(storage, Storage):
        raise DescriptionError
    return StoredTensor.checked(storage, storage.dtype, offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> StoredTensor | UnreadTensor:
    if len(rest) > 2 and rest[2]:  # whether it is a view with conjugated or negated elements
        return UnreadTensor("a view of another tensor")
    return _rebuild_tensor(storage, offset, size, stride)


def _rebuild_tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
) -> StoredTensor | UnreadTensor:
    if not isinstance(dtype, torch.dtype):
        raise DescriptionError
    if rest and rest[0]:
        return UnreadTensor("a view of another tensor")
    return StoredTensor.checked(storage, dtype, offset, size, stride)


def _rebuild_parameter(data: Any, *_: Any) -> StoredTensor | UnreadTensor:
    if not isinstance(data, StoredTensor | UnreadTensor):
        raise DescriptionError
    return data


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, *_: Any) -> StoredTensor | UnreadTensor:
    """Describes a tensor with attributes, or of a subclass, as a plain one."""
    if not isinstance(function, Function) or type(arguments) is not tuple or kind is function:
        raise DescriptionError
    return _rebuild_parameter(function(*arguments))


def _unread(kind: str) -> Callable[..., UnreadTensor]:
    return lambda *_: UnreadTensor(kind)


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    # The copies that tensors of other devices are written as.
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _rebuild_parameter,
    ("torch._utils", "_rebuild_sparse_tensor"): _unread("sparse"),
    ("torch._utils", "_rebuild_nested_tensor"): _unread("nested"),
    ("torch._utils", "_rebuild_qtensor"): _unread("quantised"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _unread("without values, on the meta device"),
    ("torch._utils", "_rebuild_wrapper_subclass"): _unread("of a class of its own"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _unread("of another device"),
    ("torch.nested._internal.nested_tensor", "_rebuild_njt"): _unread("nested"),
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
}
