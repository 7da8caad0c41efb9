"""Random cuts of images of any size, for training."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from rbnn_deploy.data.preprocessing import UInt8, fit

# Szegedy et al., "Going Deeper with Convolutions", 2015: the share of the image's area, and width to height.
AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10


def random_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draws a rectangle inside an image: its area uniformly, its proportions uniformly in their logarithm.

    Args:
        width: Of the image.
        height: Of the image.
        rng: Where the draws come from.

    Returns:
        (left, top, right, bottom). After ten rectangles that the image does not hold, the largest one at its
        centre whose proportions are allowed.
    """
    for _ in range(ATTEMPTS):
        area = width * height * rng.uniform(*AREA)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    w = max(min(width, round(height * RATIO[1])), 1)
    h = max(min(height, round(width / RATIO[0])), 1)
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def random_resized_crop(
    image: Image.Image | UInt8, input_shape: Sequence[int], flip: bool, rng: np.random.Generator
) -> UInt8:
    """Cuts a random rectangle out of an image, brings it to a network's size, and mirrors every other one.

    Args:
        image: A Pillow image, or uint8 [H, W] or [H, W, C].
        input_shape: (C, H, W) of the result.
        flip: Whether half of the images are mirrored.
        rng: Where the draws come from.

    Returns:
        uint8 [H, W, C].
    """
    if isinstance(image, Image.Image):
        image = image.crop(random_box(image.width, image.height, rng))
    else:
        left, top, right, bottom = random_box(image.shape[1], image.shape[0], rng)
        image = image[top:bottom, left:right]
    pixels = fit(image, input_shape)
    return pixels[:, ::-1] if flip and rng.random() < 0.5 else pixels
