"""Writes small downloads of CIFAR, by the description of the format."""

import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbnn_deploy.data.cifar import PIXELS, Version

PER_FILE = 4


def content_of(version: Version, file: str, per_file: int = PER_FILE) -> tuple[NDArray, NDArray]:
    """Draws the images, uint8 [per_file, 3072], and the labels, int64 [per_file], of one file."""
    rng = np.random.default_rng(len(file) + sum(file.encode()))
    return rng.integers(0, 256, (per_file, PIXELS), np.uint8), rng.integers(0, version.classes, per_file)


def names_of(version: Version) -> tuple[str, ...]:
    """Returns the class names that `write` writes."""
    return tuple(f"class{i}" for i in range(version.classes))


def python2_pickle(value: Any) -> bytes:
    """Pickles as the published files are: protocol 2, with the module names of an old NumPy."""
    return pickle.dumps(value, protocol=2).replace(b"cnumpy._core.", b"cnumpy.core.")


def write(version: Version, root: Path, per_file: int = PER_FILE) -> Path:
    """Writes a small download of a version, unpacked, and returns its folder."""
    folder = root / version.folder
    folder.mkdir()
    for file in (*version.train, version.test):
        pixels, labels = content_of(version, file, per_file)
        if version.labels:
            coarse = [labels // 5] * (version.labels - 1)
            record = np.column_stack([*coarse, labels, pixels]).astype(np.uint8)
            (folder / file).write_bytes(record.tobytes())
        else:
            key = version.key + b"s"
            (folder / file).write_bytes(
                python2_pickle({b"data": pixels, key: labels.tolist(), b"batch_label": b"x"})
            )
    names = [name.encode() for name in names_of(version)]
    content = (
        b"\n".join(names) + b"\n\n" if version.labels else python2_pickle({version.key + b"_names": names})
    )
    (folder / version.names).write_bytes(content)
    return folder


def write_archive(version: Version, root: Path, path: Path, per_file: int = PER_FILE) -> None:
    """Writes a small download of a version as the archive `path`; its files lie in `root` too."""
    folder = write(version, root, per_file)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, version.folder)
