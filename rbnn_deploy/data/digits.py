"""The handwritten digits that scikit-learn carries: a data set without a download.

1797 grey images of 8 x 8 pixels, a part of the UCI set "Optical Recognition of Handwritten Digits". Every
fifth image of each digit is a test image.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rbnn_deploy.data.labelled import LabelledImages
from rbnn_deploy.data.preprocessing import UInt8
from rbnn_deploy.errors import UserError

NAME = "digits"
HIGHEST = 16  # the data set's white
TEST_PERIOD = 5


@dataclass(frozen=True)
class _Digits:
    """Some of the digits.

    Attributes:
        pixels: uint8 [n, 8, 8].
        chosen: int64 [n], their places in scikit-learn's list.
    """

    pixels: UInt8
    chosen: npt.NDArray[np.int64]

    def read(self, index: int) -> UInt8:
        pixels: UInt8 = self.pixels[index]
        return pixels

    def name_of(self, index: int) -> str:
        return f"digit {self.chosen[index]}"


def load_digits(train: bool) -> LabelledImages:
    """Loads the training or the test digits.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as load  # noqa: PLC0415 - a device has no scikit-learn
    except ImportError:
        raise UserError(
            "the digits need scikit-learn, which is not installed; run: pip install 'rbnn-deploy[train]'"
        ) from None
    bunch = load()
    by_digit = np.argsort(bunch.target, kind="stable")
    is_test = np.arange(len(by_digit)) % TEST_PERIOD == TEST_PERIOD - 1
    chosen = np.sort(by_digit[~is_test if train else is_test])
    digits = _Digits(np.round(bunch.images[chosen] * (255 / HIGHEST)).astype(np.uint8), chosen)
    return LabelledImages(
        bunch.target[chosen].astype(np.int64),
        tuple(str(name) for name in bunch.target_names),
        digits.read,
        digits.name_of,
    )
