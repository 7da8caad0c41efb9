"""Image files, read by worker processes.

The random changes to an image follow from the seed, the epoch and the image's position in the epoch's order:
neither from the worker that reads it nor from the images read before.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from rbnn_deploy.data import LabelledImages
from rbnn_deploy.data.augmentation import random_resized_crop
from rbnn_deploy.data.preprocessing import UInt8, fit
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.data.image_sets import StreamedData
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe

# An image to read: the epoch, its position in the epoch's order, and its index in the data set.
Key = tuple[int, int, int]
# An error is handed over as a value: DataLoader would put its worker's traceback into the message.
Read = tuple[Tensor, int] | UserError
ReadBatch = tuple[Tensor, Tensor] | UserError


class EpochReader:
    """Reads the training images of epoch after epoch with the same workers.

    Args:
        data: The data set.
        recipe: Its seed and flip.
        workers: Number of processes; 0 reads in this one.
        device: Where the batches are wanted.
    """

    def __init__(
        self, data: StreamedData, recipe: TrainingRecipe, workers: int, device: torch.device
    ) -> None:
        self._device = device
        self._batches: list[list[Key]] = []
        self._loader = _loader(_TrainImages(data, recipe), self._batches, workers, device, keep=True)

    def read(self, batches: list[list[Key]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the images and labels of each batch, on the device: uint8 [n, H, W, C] and int64 [n].

        Raises:
            UserError: An image cannot be read.
        """
        self._batches[:] = batches
        yield from _moved(self._loader, self._device)


def read_tests(
    data: StreamedData, indices: Sequence[int], size: int, workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields test images, resized and cut at the centre, with their labels, on the device.

    Args:
        data: The data set.
        indices: Which.
        size: Images a batch, at most.
        workers: Number of processes; 0 reads in this one.
        device: Where the batches are wanted.

    Yields:
        uint8 [n, H, W, C] and int64 [n].

    Raises:
        UserError: An image cannot be read.
    """
    batches = [list(indices[start : start + size]) for start in range(0, len(indices), size)]
    yield from _moved(_loader(_TestImages(data), batches, workers, device, keep=False), device)


class _TrainImages(Dataset[Read]):
    def __init__(self, data: StreamedData, recipe: TrainingRecipe) -> None:
        self._images, self._shape, self._resize = data.train, data.input_shape, data.resize
        self._seed, self._flip = recipe.seed, recipe.flip

    def __getitem__(self, key: Key) -> Read:
        epoch, position, index = key

        def prepare(image: Image.Image | UInt8) -> UInt8:
            if self._resize is None:
                return fit(image, self._shape)
            rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(epoch, position)))
            return random_resized_crop(image, self._shape, self._flip, rng)

        return _read(self._images, index, prepare)


class _TestImages(Dataset[Read]):
    def __init__(self, data: StreamedData) -> None:
        self._images, self._shape, self._resize = data.test, data.input_shape, data.resize

    def __getitem__(self, index: int) -> Read:
        return _read(self._images, index, lambda image: fit(image, self._shape, self._resize))


def _read(images: LabelledImages, index: int, prepare: Callable[[Image.Image | UInt8], UInt8]) -> Read:
    try:
        pixels = prepare(images.read(index))
    except UserError as error:
        return error
    # A copy, because torch takes neither negative strides nor arrays that cannot be written.
    return torch.from_numpy(pixels.copy()), int(images.labels[index])


def _collate(images: list[Read]) -> ReadBatch:
    for image in images:
        if isinstance(image, UserError):
            return image
    pixels, labels = default_collate(images)
    return pixels, labels


def _loader(
    images: Dataset[Read], batches: Iterable[list[Any]], workers: int, device: torch.device, keep: bool
) -> DataLoader[Read]:
    return DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=device.type == "cuda",
        persistent_workers=keep and workers > 0,
        # Its own, because it draws a number for its workers, and the global one is the user's.
        generator=Generator(),
    )


def _moved(loader: DataLoader[Read], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        pixels, labels = batch
        yield pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)
