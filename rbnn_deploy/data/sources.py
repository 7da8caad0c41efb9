"""Images that somebody names or holds: files, folders, patterns, arrays, Pillow images, standard input."""

import glob
import io
import math
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbnn_deploy.data.image_file import SUFFIXES as IMAGE_SUFFIXES
from rbnn_deploy.data.image_file import load_image, upright_copy
from rbnn_deploy.data.preprocessing import Float32, UInt8
from rbnn_deploy.errors import UserError

STDIN = "-"
ARRAY_SUFFIX = ".npy"
SUFFIXES = (*IMAGE_SUFFIXES, ARRAY_SUFFIX)
ARRAY_START = b"\x93NUMPY"
ADVICE = "save uint8 pixels [H, W], [H, W, C] or [N, H, W, C], or float32 inputs [C, H, W] or [N, C, H, W]"
LARGEST_CHANNELS = 4  # grey, grey and alpha, RGB, RGB and alpha
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


Images = str | os.PathLike[str] | UInt8 | Image.Image | Iterable["Images"]


def sources_of(images: Images) -> list[ImageSource]:
    """Finds the images of a Python program.

    Args:
        images: uint8 pixels [H, W], [H, W, C] or [N, H, W, C], a Pillow image, the name of a file, folder or
            pattern (see `image_sources`), or an iterable of these.

    Returns:
        At least one image. Those that have no name are called "image 0" and so on, by their position.

    Raises:
        UserError: There is none, or one is no image.
    """
    found: list[ImageSource] = []
    _collect(images, found)
    if not found:
        raise UserError("there is no image to classify; give at least one")
    return found


def _collect(images: Any, found: list[ImageSource]) -> None:
    if isinstance(images, str | os.PathLike):
        found += image_sources([os.fspath(images)], _no_stdin)
    elif isinstance(images, Image.Image):
        name = f"image {len(found)}"
        found.append(ImageSource(name, lambda: upright_copy(images, name)))
    elif isinstance(images, np.ndarray):
        found += _of_pixels(images, len(found))
    elif isinstance(images, Iterable) and not hasattr(images, "__array__") and not isinstance(images, bytes):
        for image in images:
            _collect(image, found)
    else:
        raise UserError(
            f"images cannot be of type {type(images).__name__}; give uint8 arrays [N, H, W, C], Pillow "
            "images or paths of files"
        )


def _of_pixels(array: npt.NDArray[Any], first: int) -> list[ImageSource]:
    if array.dtype != np.uint8:
        raise UserError(
            f"images must be uint8 arrays [N, H, W, C] of pixels, not {array.dtype} {list(array.shape)}; "
            "give inputs that are normalised already to run(...)"
        )
    if array.ndim not in (2, 3, 4) or 0 in array.shape[-3:]:
        raise UserError(f"uint8 {list(array.shape)} is no image; give pixels [N, H, W, C]")
    _check_channels("the array", array)
    several = array if array.ndim == 4 else array[None]
    return [
        ImageSource(f"image {first + i}", lambda i=i: several[i])  # type: ignore[misc]
        for i in range(len(several))
    ]


def _check_channels(name: str, pixels: npt.NDArray[Any]) -> None:
    if pixels.ndim > 2 and pixels.shape[-1] > LARGEST_CHANNELS:
        raise UserError(
            f"{name} holds uint8 {list(pixels.shape)}, whose last axis is no channel of an image; put the "
            "channels last, [N, H, W, C]"
        )


def _no_stdin() -> bytes:
    raise UserError("only the command line reads standard input; name a file, or give its pixels")


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
    array = array_of_bytes(name, content)
    if array.dtype == np.uint8:
        _check_channels(name, array)
    if array.dtype == np.uint8 and array.ndim in (2, 3):
        return [ImageSource(name, lambda: array)]
    if array.dtype == np.float32 and array.ndim == 3:
        return [ImageSource(name, lambda: array)]
    if array.dtype in (np.uint8, np.float32) and array.ndim == 4:
        return [ImageSource(f"{name}[{i}]", lambda i=i: array[i]) for i in range(len(array))]  # type: ignore[misc]
    raise UserError(f"{name} holds {array.dtype} {list(array.shape)}, which is no image; {ADVICE}")


def array_of_bytes(name: str, content: bytes | mmap.mmap, advice: str = ADVICE) -> npt.NDArray[Any]:
    """Reads a .npy file without allocating what a header only claims, and without unpickling.

    Args:
        name: Of the file, for messages.
        content: The whole file.
        advice: How to write a right one.

    Raises:
        UserError: It is damaged, empty, or of objects.
    """
    stream = io.BytesIO(content[:65536])  # longer than any header of numbers
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
    except Exception:  # NumPy evaluates the header's text, and damaged text raises nearly anything
        raise UserError(f"{name} is no .npy file, or a damaged one; {advice}") from None
    count, start = math.prod(shape), stream.tell()
    if dtype.hasobject or min(shape, default=1) < 1 or count * dtype.itemsize != len(content) - start:
        raise UserError(
            f"{name} does not hold the {dtype} {list(shape)} that its header claims; save it again"
        )
    return np.frombuffer(content, dtype, count, start).reshape(shape, order="F" if fortran else "C")
