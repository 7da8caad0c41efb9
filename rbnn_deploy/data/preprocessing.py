"""From an image to a network's input: resize, cut out, scale to [0, 1], normalise."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

_MODES = {1: "L", 3: "RGB"}
LARGEST_RESIZED = 1 << 27  # pixels of an image between being resized and cut out


def normalise(
    pixels: npt.NDArray[np.uint8], mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Float32:
    """Computes (pixels / 255 - mean) / std, each step rounded to float32, as torchvision does.

    Args:
        pixels: uint8 [..., H, W, C].
        mean: One number per channel; None is 0.
        std: One number per channel; None is 1.

    Returns:
        float32 [..., C, H, W], contiguous.
    """
    x = np.ascontiguousarray(np.moveaxis(pixels, -1, -3)).astype(np.float32)
    x /= np.float32(255)
    if mean is not None:
        x -= np.asarray(mean, np.float32)[:, None, None]
    if std is not None:
        x /= np.asarray(std, np.float32)[:, None, None]
    return x


def fit(image: Image.Image | UInt8, input_shape: Sequence[int], resize: int | None = None) -> UInt8:
    """Brings an image to a network's size and number of channels.

    Args:
        image: A Pillow image, or uint8 [H, W] or [H, W, C].
        input_shape: (C, H, W) of the result, C being 1 (grey) or 3 (RGB).
        resize: The shorter side is resized to this many pixels and the centre is cut out; None resizes
            straight to the input's size, whatever the image's proportions. Bilinear in either case.

    Colours change as Pillow's `convert` and torchvision's data sets change them: grey becomes three equal
    channels, CMYK and palettes RGB, RGB its luminance where the network takes grey; transparency is left out.

    Returns:
        uint8 [H, W, C].

    Raises:
        UserError: The network takes neither 1 nor 3 channels, or the image would be too large in between.
    """
    channels, height, width = input_shape
    if channels not in _MODES:
        raise UserError(f"images have 1 or 3 channels, but the network takes {channels}; give it other data")
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    if image.mode != _MODES[channels]:
        image = image.convert(_MODES[channels])
    if resize is not None:
        image = _cut_centre(_resize_shorter_side(image, max(resize, height, width)), height, width)
    elif image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def preprocess(
    image: Image.Image | UInt8,
    input_shape: Sequence[int],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: int | None = None,
) -> Float32:
    """Turns an image into a network's input: `fit`, then `normalise`.

    Args:
        image: A Pillow image, or uint8 [H, W] or [H, W, C].
        input_shape: (C, H, W).
        mean: One number per channel, of pixels scaled to [0, 1]; None is 0.
        std: Likewise; None is 1.
        resize: See `fit`.

    Returns:
        float32 [C, H, W].

    Raises:
        UserError: See `fit`.
    """
    return normalise(fit(image, input_shape, resize), mean, std)


def preprocessing_of(metadata: ModelMetadata) -> Callable[[Image.Image | UInt8], npt.NDArray[Any]]:
    """Returns the function that makes a deployed model's input of an image, as its metadata say.

    It takes a Pillow image, or uint8 [H, W] or [H, W, C]. It returns what `preprocess` does, float32
    [C, H, W], or what `fit` does, uint8 [H, W, C], where the model takes pixels and normalises them itself.
    """
    image = metadata.image
    if metadata.takes_pixels:
        return partial(fit, input_shape=image.input_shape, resize=image.resize)
    return partial(preprocess, **vars(image))


def _resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    if shorter == size:
        return image
    width, height = (size if side == shorter else int(size * side / shorter) for side in image.size)
    if width * height > LARGEST_RESIZED:
        raise UserError(
            f"an image of {image.width} x {image.height} pixels would be resized to {width} x {height}, "
            f"since the network's images have {size} pixels on the shorter side; cut it into parts"
        )
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _cut_centre(image: Image.Image, height: int, width: int) -> Image.Image:
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
