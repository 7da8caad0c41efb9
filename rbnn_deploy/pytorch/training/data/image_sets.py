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
from rbnn_deploy.input_image import InputImage
from rbnn_deploy.pytorch.networks import get_architecture

MEMORY_SHARE = 0.5
# Where a container finds its own limit: control groups of version 2 and 1.
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
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

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, height, width, channels = self.train_pixels.shape
        return channels, height, width

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


@dataclass(frozen=True, kw_only=True)
class StreamedData(InputImage):
    """A data set of image files, which worker processes read, cut and resize while training.

    Attributes:
        train: Training images.
        test: Test images.
        mean, std: As `InputImage` has them; known for every such set.
        resize: As `InputImage` has it, for test images. Where it is a number, training images are cut at
            random, in place and size, and resized; see `rbnn_deploy.data.augmentation.random_resized_crop`.
            Where it is None, training images are padded and cut as those in memory are.
    """

    train: LabelledImages
    test: LabelledImages
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in label order."""
        return self.train.class_names

    def digest(self) -> str:
        """Returns the SHA-256 of all labels and class names, names and sizes of files, and some images.

        Raises:
            UserError: An image cannot be read.
        """

        def parts() -> Iterator[memoryview | bytes]:
            for images in (self.train, self.test):
                yield images.labels.data
                if images.stamp_of is not None:
                    for index in range(len(images)):
                        yield os.fsencode(images.stamp_of(index)) + b"\0"
                for index in range(0, len(images), max(len(images) // _DIGESTED_IMAGES, 1)):
                    yield fit(images.read(index), self.input_shape).copy().data

        return _digest(self.class_names, parts())


def load_training_data(
    source: str | Path,
    architecture: str | InputImage,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | None = None,
) -> TrainingData | StreamedData:
    """Opens a data set, and decodes it at the size that a network takes if it is to be held in memory.

    It is not where the network's family cuts its training images out at random sizes (ImageNet), and where
    the images would take more than half of the memory that this machine (or container) has, or that is free
    on the GPU.

    Args:
        source: See `rbnn_deploy.data.load_test_images`.
        architecture: Full name of the network, or the images that a network of your own takes, with mean and
            std.
        limit: Training and test images at most; None for all.
        progress: Called with the number of images decoded and the number in all.
        device: Where the images will be held; None for the machine's memory.

    Raises:
        UserError: The data set cannot be loaded, or is not for training: one class, or one without images.
    """
    family = get_architecture(architecture).family if isinstance(architecture, str) else architecture
    if family.mean is None or family.std is None:
        raise UserError("the images of a training have a mean and a std; give both, one number per channel")
    train, test = load_train_images(source), load_test_images(source)
    _check_classes(source, train)
    train, test = train.subset(limit), test.subset(limit)
    total = len(train) + len(test)
    if family.resize is not None or not _fits(total, family, device):
        return StreamedData(
            train=train,
            test=test,
            input_shape=family.input_shape,
            resize=family.resize,
            mean=family.mean,
            std=family.std,
        )

    def decode(images: LabelledImages, done: int) -> tuple[Tensor, Tensor]:
        report = None if progress is None else lambda count, _: progress(done + count, total)
        pixels = images.pixels(family.input_shape, family.resize, report)
        return torch.from_numpy(pixels), torch.from_numpy(images.labels)

    return TrainingData(
        *decode(train, 0), *decode(test, len(train)), train.class_names, family.mean, family.std
    )


def _check_classes(source: str | Path, train: LabelledImages) -> None:
    if len(train.class_names) < 2:
        raise UserError(f"{source} has one class only, {train.class_names[0]!r}; add images of others")
    trained = set(train.labels.tolist())
    for label, name in enumerate(train.class_names):
        if label not in trained:
            raise UserError(
                f"{source} has no training images of class {name!r}; add some, or remove its test images"
            )


def _fits(images: int, family: InputImage, device: torch.device | None) -> bool:
    channels, height, width = family.input_shape
    size = images * channels * height * width
    # Every process of this machine that torchrun starts holds the images.
    copies = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    memory = _machine_memory() // copies
    if device is not None and device.type == "cuda":
        memory = min(memory, torch.cuda.mem_get_info(device)[0])
    return size <= memory * MEMORY_SHARE


def _machine_memory() -> int:
    """Returns the bytes that this machine has, or this container may take of them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _MEMORY_LIMITS:
        try:
            memory = min(memory, int(file.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return memory


def _digest(class_names: tuple[str, ...], parts: Iterator[memoryview | bytes]) -> str:
    digest = hashlib.sha256("\0".join(class_names).encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
