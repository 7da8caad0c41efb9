"""Data sets for training: images in memory, as bytes, or images that are read while training."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from rbnn_deploy.data import LabelledImages, load_test_images, load_train_images
from rbnn_deploy.data.preprocessing import fit
from rbnn_deploy.errors import UserError
from rbnn_deploy.networks import Family, get_architecture

MEMORY_SHARE = 0.5
_DIGESTED_IMAGES = 16  # of a set too large to be read twice


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

    def digest(self) -> str:
        """Returns the SHA-256 of all images, labels and class names."""
        tensors = (self.train_pixels, self.train_labels, self.test_pixels, self.test_labels)
        return _digest(self.class_names, (tensor.cpu().contiguous().numpy().data for tensor in tensors))


@dataclass(frozen=True)
class StreamedData:
    """A data set of image files, which worker processes read, cut and resize while training.

    Attributes:
        train: Training images.
        test: Test images.
        input_shape: (C, H, W) of the network.
        resize: Length of a test image's shorter side before its centre is cut out. Training images of such a
            set are cut at random, in place and size, and resized; see
            `rbnn_deploy.data.augmentation.random_resized_crop`. With None, all images are resized straight to
            the input's size, and training images are padded and cut as those in memory are.
        mean: Per channel, of pixels scaled to [0, 1].
        std: Per channel, likewise.
    """

    train: LabelledImages
    test: LabelledImages
    input_shape: tuple[int, int, int]
    resize: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""
        return self.train.class_names

    def digest(self) -> str:
        """Returns the SHA-256 of all labels and class names, and of some of the images."""

        def parts() -> Iterator[memoryview]:
            for images in (self.train, self.test):
                yield images.labels.data
                for index in range(0, len(images), max(len(images) // _DIGESTED_IMAGES, 1)):
                    yield fit(images.read(index), self.input_shape).copy().data

        return _digest(self.class_names, parts())


def load_training_data(
    source: str | Path,
    architecture: str,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | None = None,
) -> TrainingData | StreamedData:
    """Opens a data set, and decodes it at the size that a network takes if it is to be held in memory.

    It is not where the network's family cuts its training images out at random sizes (ImageNet), and where
    the images would take more than half of the memory of this machine or of the GPU.

    Args:
        source: See `rbnn_deploy.data.load_test_images`.
        architecture: Full name of the network.
        limit: Training and test images at most; None for all.
        progress: Called with the number of images decoded and the number in all.
        device: Where the images will be held; None for the machine's memory.

    Raises:
        UserError: The data set cannot be loaded.
    """
    family = get_architecture(architecture).family
    train, test = load_train_images(source, limit), load_test_images(source, limit)
    if train.class_names != test.class_names:
        raise UserError(
            f"training and test images of {source} have different classes; make their folders agree"
        )
    total = len(train) + len(test)
    if family.resize is not None or not _fits(total, family, device):
        return StreamedData(train, test, family.input_shape, family.resize, family.mean, family.std)

    def decode(images: LabelledImages, done: int) -> tuple[Tensor, Tensor]:
        report = None if progress is None else lambda count, _: progress(done + count, total)
        pixels = images.pixels(family.input_shape, family.resize, report)
        return torch.from_numpy(pixels), torch.from_numpy(images.labels)

    return TrainingData(
        *decode(train, 0), *decode(test, len(train)), train.class_names, family.mean, family.std
    )


def _fits(images: int, family: Family, device: torch.device | None) -> bool:
    channels, height, width = family.input_shape
    size = images * channels * height * width
    # Every process of this machine that torchrun starts holds the images.
    copies = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // copies
    if device is not None and device.type == "cuda":
        memory = min(memory, torch.cuda.get_device_properties(device).total_memory)
    return size <= memory * MEMORY_SHARE


def _digest(class_names: tuple[str, ...], parts: Iterator[memoryview]) -> str:
    digest = hashlib.sha256("\0".join(class_names).encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
