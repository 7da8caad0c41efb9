"""A list of images with their classes, decoded when they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbnn_deploy.data.preprocessing import UInt8, fit
from rbnn_deploy.errors import UserError


@dataclass(frozen=True)
class LabelledImages:
    """Images with labels; nothing is decoded before it is asked for.

    `read` and `name_of` must be picklable, because the processes that read images get copies of them.

    Attributes:
        labels: int64 [n], indices into `class_names`.
        class_names: In label order.
        read: Returns image i: a Pillow image, or uint8 [H, W] or [H, W, C].
        name_of: Returns the name of image i in a message.
        stamp_of: Returns the facts about image i's file that need no reading: its name in the data set and
            its size. None if images are no files.
    """

    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    read: Callable[[int], Image.Image | UInt8]
    name_of: Callable[[int], str]
    stamp_of: Callable[[int], str] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, limit: int | None) -> "LabelledImages":
        """Picks `limit` images evenly over the list sorted by class, so that classes stay balanced.

        Args:
            limit: How many; None or more than there are means all, in their own order.

        Raises:
            UserError: `limit` is below 1.
        """
        if limit is None or limit >= len(self):
            return self
        if limit < 1:
            raise UserError(f"the number of images must be at least 1, not {limit}")
        by_class = np.argsort(self.labels, kind="stable")
        chosen = by_class[np.arange(limit) * len(self) // limit]
        subset = _Subset(self, chosen)
        return LabelledImages(
            self.labels[chosen],
            self.class_names,
            subset.read,
            subset.name_of,
            None if self.stamp_of is None else subset.stamp_of,
        )

    def batches(
        self, size: int, prepare: Callable[[Image.Image | UInt8], npt.NDArray[Any]]
    ) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
        """Yields inputs and labels, at most `size` a batch.

        Args:
            size: Images a batch.
            prepare: Turns one image into an input, such as float32 [C, H, W]; see `preprocessing_of`.

        Yields:
            The inputs, such as float32 [n, C, H, W], and int64 [n].
        """
        for start in range(0, len(self), size):
            indices = range(start, min(start + size, len(self)))
            yield np.stack([prepare(self.read(i)) for i in indices]), self.labels[start : start + size]

    def pixels(
        self,
        input_shape: Sequence[int],
        resize: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> UInt8:
        """Decodes all images at one size, for data that fit into memory.

        Args:
            input_shape: (C, H, W); see `fit`.
            resize: See `fit`.
            progress: Called with the number decoded and the number in all.

        Returns:
            uint8 [n, H, W, C].
        """
        channels, height, width = input_shape
        result = np.empty((len(self), height, width, channels), np.uint8)
        for index in range(len(self)):
            result[index] = fit(self.read(index), input_shape, resize)
            if progress is not None:
                progress(index + 1, len(self))
        return result


@dataclass(frozen=True)
class _Subset:
    """Some of a list's images.

    Attributes:
        whole: All.
        chosen: int64 [n], which.
    """

    whole: LabelledImages
    chosen: npt.NDArray[np.int64]

    def read(self, index: int) -> Image.Image | UInt8:
        return self.whole.read(int(self.chosen[index]))

    def name_of(self, index: int) -> str:
        return self.whole.name_of(int(self.chosen[index]))

    def stamp_of(self, index: int) -> str:
        assert self.whole.stamp_of is not None
        return self.whole.stamp_of(int(self.chosen[index]))
