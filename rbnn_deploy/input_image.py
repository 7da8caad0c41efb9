"""The input of a network, defined once: float32 [N, C, H, W], and how an image becomes one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

BATCH_ELEMENTS = 1 << 24  # of the inputs of a batch of several images; 64 MiB

AXES = ("N", "C", "H", "W")


@dataclass(frozen=True)
class InputImage:
    """One image as a network takes it; networks, checkpoints and data sets say it of themselves.

    Attributes:
        input_shape: (C, H, W).
        mean: Per channel, subtracted from pixels scaled to [0, 1]; None is 0.
        std: Per channel, the divisor after that; None is 1.
        resize: Images are resized so that their shorter side has this many pixels, then the centre is cut out
            at the input's size; None resizes straight to the input's size.
    """

    input_shape: tuple[int, int, int]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: int | None = None


def describe_batch(sizes: Sequence[int | None] = (None,) * len(AXES)) -> str:
    """Writes type and layout of a batch, such as "float32 [N, 3, 32, 32]"; None is a size that is open."""
    named = [axis if size is None else str(size) for axis, size in zip(AXES, sizes, strict=True)]
    return f"float32 [{', '.join(named)}]"


def is_batch(x: Any, sizes: Sequence[int | None] = (None,) * len(AXES)) -> bool:
    """Tells whether x is an array of a batch's type, layout and sizes."""
    return (
        isinstance(x, np.ndarray)
        and x.dtype == np.float32
        and x.ndim == len(AXES)
        and all(size in (None, given) for size, given in zip(sizes, x.shape, strict=True))
    )


def batch_size(input_shape: Sequence[int], most: int) -> int:
    """Returns how many images make a batch of bounded memory.

    Args:
        input_shape: (C, H, W).
        most: At most so many; at least 1.
    """
    return max(1, min(most, BATCH_ELEMENTS // math.prod(input_shape)))


def random_batch(rng: np.random.Generator, count: int, input_shape: Sequence[int]) -> Float32:
    """Draws a batch as normalised images are: of mean 0 and deviation 1.

    Args:
        rng: Random numbers.
        count: Images.
        input_shape: (C, H, W).
    """
    return rng.standard_normal((count, *input_shape), np.float32)
