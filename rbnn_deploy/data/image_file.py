"""Reads one image file upright, of 8 bits per channel; a small file must not take much time or memory."""

import logging
import stat
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps

from rbnn_deploy.errors import UserError
from rbnn_deploy.text import printable

# Pillow looks at a file's content and not at its name, and gives some formats (EPS) to programs outside.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
# How their files are named, in either case.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".webp"),
)
# Images too, which are not read: a data set that holds some of these must not lose them in silence.
OTHER_SUFFIXES = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".tga", ".ico", ".psd", ".svg", ".eps", ".exr"),
    *(".hdr", ".dng", ".cr2", ".nef", ".arw"),
)
LARGEST_FILE = 1 << 30  # bytes; Pillow's limit of pixels, without compression, takes less
# Colours that Pillow turns into RGB and grey without another step.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")

# Without a handler, Python prints Pillow's log of damaged files to standard error, beside the one sentence.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def load_image(file: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """Reads and decodes an image file, and turns it upright as its EXIF orientation says.

    Of a file with several images, this is the first. Its colours stay as they are: see `preprocessing.fit`.

    Args:
        file: Its path, or its content as a stream.
        name: What to call it in a message; None for its path.

    Raises:
        UserError: The file is missing or no regular file, is no whole image of the formats in `FORMATS`, is
            too large, or has more than 8 bits per channel, or colours other than grey, RGB, CMYK, YCbCr, HSV.
    """
    path = printable(name or str(file))
    if isinstance(file, str | Path):
        _check_file(Path(file), path)
    try:
        with Image.open(file, formats=FORMATS) as image:
            _load(image, path)
            return _upright(image)
    except Image.DecompressionBombError:
        raise _too_many_pixels(path) from None
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise unreadable(path, error) from None


def upright_copy(image: Image.Image, name: str) -> Image.Image:
    """Treats a Pillow image that somebody has opened as `load_image` treats its file.

    Args:
        image: The image; it is decoded, and otherwise not changed.
        name: What to call it in a message.

    Raises:
        UserError: It is damaged or too large, or has colours that are not taken; see `load_image`.
    """
    _load(image, printable(name))
    return _upright(image.copy())


def _load(image: Image.Image, path: str) -> None:
    """Decodes an image, and refuses colours that are not taken."""
    try:
        image.load()
    except Image.DecompressionBombError:
        raise _too_many_pixels(path) from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise unreadable(path, error) from None
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise UserError(f"{path} has more than 8 bits per channel; save it with 8")
    if image.mode not in _MODES:
        raise UserError(f"{path} has colours of the kind {image.mode}; save it as RGB or grey")


def _check_file(file: Path, path: str) -> None:
    try:
        found = file.stat()
    except (FileNotFoundError, ValueError):  # a name with a null byte
        raise UserError(f"{path} does not exist; check the path of the image") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"cannot read image {path}: it is a folder; name a file")
    if not stat.S_ISREG(found.st_mode):  # reading a pipe may never end
        raise UserError(f"{path} is a pipe or a device; copy the image into a file and name that")
    if found.st_size > LARGEST_FILE:
        raise UserError(f"{path} has more than {LARGEST_FILE:,} bytes; save the image smaller")


def _too_many_pixels(path: str) -> UserError:
    # Pillow refuses twice the number of which it warns, and None switches both off.
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return UserError(f"{path} has more than {limit:,} pixels; make the image smaller")


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # damaged EXIF data, beside pixels that are whole
        return image
    return image


def unreadable(path: str | Path, error: Exception) -> UserError:
    """Describes in one sentence why an image file cannot be read."""
    formats = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    reason = error.strerror if isinstance(error, OSError) else None
    return UserError(
        f"cannot read image {path}: {reason or f'it is no whole {formats} that Pillow reads'}; "
        "replace or remove it"
    )
