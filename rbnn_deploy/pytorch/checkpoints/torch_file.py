"""The files that torch.save writes: a zip file, and before PyTorch 1.6 a row of pickles.

Both hold one pickle, which describes tensors, and storages, which are their bytes. Storages are read when a
tensor is asked for, and no part of a file makes this module take more memory than the file explains.
"""

import io
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.formats import ZIP_START
from rbnn_deploy.pytorch.checkpoints.stored_tensor import (
    DescriptionError,
    Storages,
    StoredTensor,
    read_tensors,
)
from rbnn_deploy.pytorch.checkpoints.unpickler import load_pickle

# How the older format begins: the pickles of two numbers.
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001

_DATA = "data.pkl"
_TORCHSCRIPT = "constants.pkl"
_LOCAL_HEADER = 30  # bytes of a part's header in a zip file, without its name and extra field
# torch.save does not compress. Weights shrink by a tenth where somebody else does, text by more.
_LARGEST_RATIO = 16
_SMALL = 1 << 20  # bytes that any file may unpack to


@dataclass(frozen=True)
class TorchFile:
    """What a file of torch.save holds.

    Attributes:
        content: What was saved, with a `StoredTensor` or `UnreadTensor` for each tensor and a `StandIn` for
            each object of a class that is not loaded.
        ignored: Names of such classes.
        storages: The tensors' bytes.
        swapped: Whether their byte order is not this machine's.
    """

    content: Any
    ignored: tuple[str, ...]
    storages: Storages
    swapped: bool

    def read(self, tensors: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Reads tensors.

        Raises:
            UserError: The file is damaged.
        """
        try:
            return read_tensors(tensors, self.storages, self.swapped)
        except (DescriptionError, zlib.error):
            raise UserError("it is damaged or incomplete; download or copy it again") from None


def open_torch_file(data: bytes) -> TorchFile:
    """Reads what torch.save wrote, but for the tensors' values.

    Args:
        data: The file's content.

    Raises:
        UserError: It is a TorchScript program, or its parts unpack to far more than the file has.
        RefusedError: See `load_pickle`.
        Exception: Nearly any other, where it is damaged.
    """
    return _open_zip(data) if data.startswith(ZIP_START) else _open_legacy(data)


class _ZipStorages:
    """Storages that are parts of a zip file."""

    def __init__(self, data: bytes, parts: Mapping[str, zipfile.ZipInfo], prefix: str) -> None:
        self._data, self._parts, self._prefix = data, parts, prefix

    def read(self, key: str, size: int) -> bytes | memoryview:
        part = self._parts.get(f"{self._prefix}data/{key}")
        if part is None or part.file_size != size:
            raise DescriptionError
        return _part(self._data, part)


def _open_zip(data: bytes) -> TorchFile:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > _LARGEST_RATIO * len(data) + _SMALL:
        raise UserError(
            "its parts unpack to far more bytes than the file has; save it again with torch.save, "
            "which does not compress"
        )
    parts = {entry.filename: entry for entry in entries}
    name = next((name for name in parts if name.rpartition("/")[2] == _DATA and name.count("/") <= 1), None)
    prefix = "" if name is None else name.removesuffix(_DATA)
    if f"{prefix}{_TORCHSCRIPT}" in parts:
        raise UserError("it is a TorchScript program; save the network's state dict instead")
    if name is None:
        raise DescriptionError
    content, _, unpickler = load_pickle(bytes(_part(data, parts[name])))
    order = parts.get(f"{prefix}byteorder")
    swapped = order is not None and bytes(_part(data, order)) != sys.byteorder.encode()
    return TorchFile(content, tuple(unpickler.stand_ins), _ZipStorages(data, parts, prefix), swapped)


def _part(data: bytes, part: zipfile.ZipInfo) -> bytes | memoryview:
    """Returns a part's bytes; those that are not compressed are not copied.

    zipfile's own reader insists on checksums, which torch.save can be told to leave out (they are 0 then).
    """
    header = data[part.header_offset : part.header_offset + _LOCAL_HEADER]
    if not header.startswith(ZIP_START) or len(header) < _LOCAL_HEADER:
        raise DescriptionError
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = part.header_offset + _LOCAL_HEADER + name + extra
    raw: bytes | memoryview = memoryview(data)[start : start + part.compress_size]
    if part.compress_type == zipfile.ZIP_DEFLATED:
        raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, part.file_size + 1)
    elif part.compress_type != zipfile.ZIP_STORED:
        raise DescriptionError
    if len(raw) != part.file_size or (part.CRC != 0 and zlib.crc32(raw) != part.CRC):
        raise DescriptionError
    return raw


class _LegacyStorages:
    """Storages that follow the pickles: for each the number of its elements, then their bytes."""

    def __init__(self, data: bytes, places: Mapping[str, tuple[int, int]]) -> None:
        self._data, self._places = data, places

    def read(self, key: str, size: int) -> memoryview:
        start, length = self._places[key]
        if length != size:
            raise DescriptionError
        return memoryview(self._data)[start : start + length]


def _open_legacy(data: bytes) -> TorchFile:
    end = 0
    for expected in (_MAGIC, _LEGACY_VERSION, None):  # the third says what machine wrote the file
        value, end, _ = load_pickle(data, end)
        if expected not in (None, value):
            raise DescriptionError
    content, end, unpickler = load_pickle(data, end)
    keys, end, _ = load_pickle(data, end)
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        storage = unpickler.storages[key]
        count = int.from_bytes(data[end : end + 8], "little")
        start, length = end + 8, count * storage.dtype.itemsize
        end = start + length
        if end > len(data):
            raise DescriptionError
        places[key] = start, length
    if places.keys() != unpickler.storages.keys():
        raise DescriptionError
    return TorchFile(content, tuple(unpickler.stand_ins), _LegacyStorages(data, places), False)
