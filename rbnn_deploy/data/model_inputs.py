"""A network's input from one image, whatever form it comes in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbnn_deploy.data.preprocessing import Float32, UInt8, preprocessing_of
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata


def not_normalised(metadata: ModelMetadata, path: Path) -> str | None:
    """Says in a sentence that a model's images are not normalised, because its file says nothing of it.

    Args:
        metadata: The model's.
        path: The model's file, for the sentence.
    """
    if metadata.mean is not None or metadata.std is not None:
        return None
    return (
        f"{path} has no mean and std, so images are scaled to [0, 1] and not normalised; export it with its "
        "metadata if it was trained otherwise"
    )


def prepared(
    metadata: ModelMetadata | None, path: Path
) -> Callable[[Image.Image | UInt8 | Float32], npt.NDArray[Any]]:
    """Returns the function that makes a model's input of an image; see `preprocessing_of`.

    It takes a Pillow image or uint8 [H, W] or [H, W, C], which it resizes and normalises as the metadata
    say, or float32 [C, H, W], which is an input already, unless the model takes pixels. It raises UserError
    for pixels if the model has no metadata.

    Args:
        metadata: The model's.
        path: The model's file, for the message.
    """
    prepare = None if metadata is None else preprocessing_of(metadata)

    def apply(image: Image.Image | UInt8 | Float32) -> npt.NDArray[Any]:
        if isinstance(image, np.ndarray) and image.dtype == np.float32:
            return np.asarray(image, np.float32)
        if prepare is None:
            raise UserError(
                f"{path} does not say how images become its input; run a file that `export` wrote, or give "
                "float32 inputs in a .npy file"
            )
        return prepare(image)  # type: ignore[arg-type]

    return apply
