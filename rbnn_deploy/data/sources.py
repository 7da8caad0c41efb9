"""Images that somebody names for one run: files, folders, patterns, NumPy arrays and standard input."""

import glob
import io
import math
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbnn_deploy.data.image_file import SUFFIXES as IMAGE_SUFFIXES
from rbnn_deploy.data.image_file import load_image
from rbnn_deploy.data.preprocessing import Float32, UInt8
from rbnn_deploy.errors import UserError

STDIN = "-"
ARRAY_SUFFIX = ".npy"
SUFFIXES = (*IMAGE_SUFFIXES, ARRAY_SUFFIX)
ARRAY_START = b"\x93NUMPY"
ADVICE = "save uint8 pixels [H, W], [H, W, C] or [N, H, W, C], or float32 inputs [C, H, W] or [N, C, H, W]"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class ImageSource:
    """One image, decoded when it is asked for.

    Attributes:
        name: What to call it.
        read: Returns a Pillow image, or uint8 [H, W] or [H, W, C], or a network's input, float32 [C, H, W].
    """

    name: str
    read: Callable[[], Image.Image | UInt8 | Float32]


def image_sources(names: Iterable[str], stdin: Callable[[], bytes]) -> list[ImageSource]:
    """Finds images.

    Args:
        names: Files; folders, for the images in them and in their folders, sorted by path; patterns such as
            "*.jpg" or "**/*.png", if no file is called so; "-" for standard input. A .npy file holds one
            image or many.
        stdin: Returns the whole standard input.

    Returns:
        At least one image per name.

    Raises:
        UserError: A folder or pattern gives no image, or an array is none of images. Other files are not
            read before they are asked for.
    """
    found: list[ImageSource] = []
    for name in names:
        if name == STDIN:
            found += _of_bytes(stdin())
            continue
        for path in _files(name):
            if path.suffix.lower() == ARRAY_SUFFIX:
                found += _of_array(str(path), _mapped(path))
            else:
                found.append(_of_file(path))
    return found


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        files = sorted(_images_below(path))
        if not files:
            raise UserError(f"{path} holds no image; its files end in none of {', '.join(SUFFIXES)}")
        return files
    if not path.exists() and glob.has_magic(name):
        files = [Path(match) for match in sorted(glob.glob(name, recursive=True)) if not Path(match).is_dir()]
        if not files:
            raise UserError(f"no file fits the pattern {name}; check the folder and the letters' case")
        return files
    return [path]


def _images_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def _of_file(path: Path) -> ImageSource:
    return ImageSource(str(path), lambda: load_image(path))


def _of_bytes(content: bytes) -> list[ImageSource]:
    name = "standard input"
    if not content:
        raise UserError(f"{name} is empty; send an image or a .npy file into it")
    if content.startswith(ARRAY_START):
        return _of_array(name, content)
    return [ImageSource(name, lambda: load_image(io.BytesIO(content), name=name))]


def _mapped(path: Path) -> bytes | mmap.mmap:
    if not path.is_file():
        raise UserError(f"{path} does not exist, or is no regular file; check the path of the array")
    try:
        with path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check its permissions") from None


def _of_array(name: str, content: bytes | mmap.mmap) -> list[ImageSource]:
    array = _array(name, content)
    if array.dtype == np.uint8 and array.ndim in (2, 3):
        return [ImageSource(name, lambda: array)]
    if array.dtype == np.float32 and array.ndim == 3:
        return [ImageSource(name, lambda: array)]
    if array.dtype in (np.uint8, np.float32) and array.ndim == 4:
        return [ImageSource(f"{name}[{i}]", lambda i=i: array[i]) for i in range(len(array))]  # type: ignore[misc]
    raise UserError(f"{name} holds {array.dtype} {list(array.shape)}, which is no image; {ADVICE}")


def _array(name: str, content: bytes | mmap.mmap) -> npt.NDArray[Any]:
    """Reads an array without allocating what a header only claims, and without unpickling."""
    stream = io.BytesIO(content[:65536])  # longer than any header of numbers
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
    except Exception:  # NumPy evaluates the header's text, and damaged text raises nearly anything
        raise UserError(f"{name} is no .npy file, or a damaged one; {ADVICE}") from None
    count, start = math.prod(shape), stream.tell()
    if dtype.hasobject or min(shape, default=1) < 1 or count * dtype.itemsize != len(content) - start:
        raise UserError(
            f"{name} does not hold the {dtype} {list(shape)} that its header claims; save it again"
        )
    return np.frombuffer(content, dtype, count, start).reshape(shape, order="F" if fortran else "C")
