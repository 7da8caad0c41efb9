"""The original CIFAR-10 and CIFAR-100 downloads: python or binary version, archive or unpacked.

The python version is pickles, and a pickle may run code; see `rbnn_deploy.data.array_pickle`.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.data.array_pickle import MAX_BYTES, PickledArray, load_array_pickle
from rbnn_deploy.data.labelled import LabelledImages
from rbnn_deploy.data.preprocessing import UInt8
from rbnn_deploy.data.tar_archive import DamagedArchiveError, read_members
from rbnn_deploy.errors import UserError

SIDE = 32
PIXELS = 3 * SIDE * SIDE

ReadMember = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Version:
    """One published form of one data set.

    Attributes:
        folder: Folder that its archive holds.
        train: Files of the training images.
        test: File of the test images.
        names: File of the class names.
        classes: How many classes there are.
        key: Prefix of the fine labels' and names' keys (python version).
        labels: How many label bytes come before an image, the last being the fine one (binary version); 0 for
            the python version.
    """

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    key: bytes = b""
    labels: int = 0


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
VERSIONS = (
    Version("cifar-10-batches-py", _BATCHES, "test_batch", "batches.meta", 10, key=b"label"),
    Version("cifar-100-python", ("train",), "test", "meta", 100, key=b"fine_label"),
    Version(
        "cifar-10-batches-bin",
        tuple(f"{name}.bin" for name in _BATCHES),
        "test_batch.bin",
        "batches.meta.txt",
        10,
        labels=1,
    ),
    Version("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 100, labels=2),
)


@dataclass(frozen=True)
class _Planes:
    """Images as the files have them.

    Attributes:
        pixels: uint8 [n, 3 * 32 * 32] in the order (channel, row, column).
        source: Where they come from.
    """

    pixels: UInt8
    source: str

    def read(self, index: int) -> UInt8:
        return np.moveaxis(self.pixels[index].reshape(3, SIDE, SIDE), 0, -1)

    def name_of(self, index: int) -> str:
        return f"image {index} of {self.source}"


def load_cifar(path: Path, train: bool) -> LabelledImages | None:
    """Loads a CIFAR download.

    Args:
        path: The archive, its unpacked folder, or the folder around that.
        train: Whether the training images are wanted.

    Returns:
        The images, or None where `path` is no CIFAR download.

    Raises:
        UserError: It is one, but incomplete or damaged.
        PermissionError: It may not be read.
    """
    if path.is_dir():
        for version in VERSIONS:
            folder = next((f for f in (path / version.folder, path) if (f / version.test).is_file()), None)
            if folder is not None and (folder / version.names).is_file():
                return _load(version, str(folder), _folder_reader(folder), train)
        return None
    files = {version: (*(version.train if train else (version.test,)), version.names) for version in VERSIONS}
    wanted = {f"{version.folder}/{name}" for version, names in files.items() for name in names}
    try:
        contents, present = read_members(path, wanted, MAX_BYTES)
    except DamagedArchiveError:
        if path.name.startswith("cifar"):
            raise UserError(f"{path} is damaged or incomplete; download it again") from None
        return None
    for version in VERSIONS:
        if f"{version.folder}/{version.test}" in present:
            return _load(version, str(path), _archive_reader(contents, version.folder), train)
    return None


def _folder_reader(folder: Path) -> ReadMember:
    def read(name: str) -> bytes | None:
        file = folder / name
        if not file.is_file():
            return None
        _check_size(str(file), file.stat().st_size)
        return file.read_bytes()

    return read


def _archive_reader(contents: Mapping[str, bytes], folder: str) -> ReadMember:
    return lambda name: contents.get(f"{folder}/{name}")


def _check_size(file: str, size: int) -> None:
    # A small archive can hold a file that no memory holds.
    if size > MAX_BYTES:
        raise UserError(f"{file} is larger than any file of CIFAR; download the data set again")


def _load(version: Version, source: str, read: ReadMember, train: bool) -> LabelledImages:
    def parse(name: str, parser: Callable[[bytes], Any]) -> Any:
        content = read(name)
        if content is None:
            raise UserError(f"{source} has no {name}; download the data set again")
        try:
            return parser(content)
        except Exception as error:  # damaged pickles raise nearly anything
            refused = f" ({error})" if isinstance(error, pickle.UnpicklingError) else ""
            raise UserError(f"{name} of {source} is damaged{refused}; download the data set again") from None

    batches = [
        parse(name, lambda content: _images(version, content))
        for name in (version.train if train else (version.test,))
    ]
    class_names = parse(version.names, lambda content: _class_names(version, content))
    images = _Planes(np.concatenate([pixels for pixels, _ in batches]), source)
    labels = np.concatenate([labels for _, labels in batches])
    return LabelledImages(labels, class_names, images.read, images.name_of)


def _images(version: Version, content: bytes) -> tuple[UInt8, npt.NDArray[np.int64]]:
    """Returns uint8 [n, 3 * 32 * 32] in the order (channel, row, column), and int64 [n]."""
    if version.labels:
        records = np.frombuffer(content, np.uint8).reshape(-1, version.labels + PIXELS)
        pixels, labels = records[:, version.labels :], records[:, version.labels - 1].astype(np.int64)
    else:
        values = _unpickle(content)
        data, labels = values[b"data"], _labels(values[version.key + b"s"])
        if not isinstance(data, PickledArray) or data.array.dtype != np.uint8:
            raise ValueError("its images are no bytes")
        pixels = data.array.view(np.uint8)
    if labels.ndim != 1 or pixels.shape != (len(labels), PIXELS) or len(labels) == 0:
        raise ValueError("images and labels differ in number")
    if labels.min() < 0 or labels.max() >= version.classes:
        raise ValueError("a label is out of range")
    return pixels, labels


def _class_names(version: Version, content: bytes) -> tuple[str, ...]:
    names = content.split() if version.labels else _unpickle(content)[version.key + b"_names"]
    if len(names) != version.classes or sum(map(len, names)) > len(content):
        raise ValueError("wrong number of names")
    return tuple(name.decode() for name in names)


def _unpickle(content: bytes) -> dict[bytes, Any]:
    values = load_array_pickle(content)
    if not isinstance(values, dict):
        raise ValueError("no dict")
    return {key.encode() if isinstance(key, str) else key: value for key, value in values.items()}


def _labels(values: Any) -> npt.NDArray[np.int64]:
    if isinstance(values, PickledArray):
        return values.array.astype(np.int64)
    # NumPy would follow lists of lists, which a small file can make as large as it likes.
    if not all(type(value) is int for value in values):
        raise ValueError("its labels are no integers")
    return np.asarray(values, np.int64)
