"""How an image becomes the input of a network, float32 [N, C, H, W] (`rbnn_deploy.signature`).

A deployed model may take pixels instead, and normalise them itself (`rbnn_deploy.pixel_input`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rbnn_deploy.signature import BATCH_ELEMENTS

Float32 = npt.NDArray[np.float32]

# The forms of image that a deployed model takes: normalised float32 [N, C, H, W], or uint8 [N, H, W, C].
FLOAT32_NCHW, UINT8_NHWC = "float32-nchw", "uint8-nhwc"
INPUT_FORMATS = (FLOAT32_NCHW, UINT8_NHWC)


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


def batch_size(input_shape: Sequence[int], most: int) -> int:
    """Returns how many images make a batch of bounded memory.

    Args:
        input_shape: (C, H, W).
        most: At most so many; at least 1.
    """
    return max(1, min(most, BATCH_ELEMENTS // math.prod(input_shape)))
