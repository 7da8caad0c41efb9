"""Images in memory, as bytes: what a training step cuts its batches from."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from rbnn_deploy.data import LabelledImages, load_test_images, load_train_images
from rbnn_deploy.errors import UserError
from rbnn_deploy.networks import get_architecture

MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class TrainingData:
    """A data set in memory.

    Attributes:
        train_pixels: uint8 [n, H, W, C].
        train_labels: int64 [n].
        test_pixels: uint8 [m, H, W, C].
        test_labels: int64 [m].
        class_names: In label order.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, likewise.
    """

    train_pixels: Tensor
    train_labels: Tensor
    test_pixels: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to(self, device: torch.device) -> "TrainingData":
        """Returns the data on a device."""
        return replace(
            self,
            train_pixels=self.train_pixels.to(device),
            train_labels=self.train_labels.to(device),
            test_pixels=self.test_pixels.to(device),
            test_labels=self.test_labels.to(device),
        )


def load_training_data(
    source: str | Path,
    architecture: str,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Decodes a data set at the size that a network takes.

    Args:
        source: See `rbnn_deploy.data.load_test_images`.
        architecture: Full name of the network.
        limit: Training and test images at most; None for all.
        progress: Called with the number of images decoded and the number in all.

    Raises:
        UserError: The data set cannot be loaded, or takes more than half of this machine's memory.
    """
    family = get_architecture(architecture).family
    train, test = load_train_images(source, limit), load_test_images(source, limit)
    if train.class_names != test.class_names:
        raise UserError(
            f"training and test images of {source} have different classes; make their folders agree"
        )
    channels, height, width = family.input_shape
    total = len(train) + len(test)
    size, memory = total * channels * height * width, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory * MEMORY_SHARE:
        raise UserError(
            f"{total} images take {size / 2**30:.0f} GiB in memory, of which there are {memory / 2**30:.0f}; "
            "train on fewer images, or on a larger machine"
        )

    def decode(images: LabelledImages, done: int) -> tuple[Tensor, Tensor]:
        report = None if progress is None else lambda count, _: progress(done + count, total)
        pixels = images.pixels(family.input_shape, family.resize, report)
        return torch.from_numpy(pixels), torch.from_numpy(images.labels)

    return TrainingData(
        *decode(train, 0), *decode(test, len(train)), train.class_names, family.mean, family.std
    )
