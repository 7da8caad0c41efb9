"""Where a training's batches come from: one interface over images in memory, image files, and loaders."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.data.batches import Batch, BatchSizes, EpochDraws, augment, to_input
from rbnn_deploy.pytorch.training.data.image_sets import StreamedData, TrainingData
from rbnn_deploy.pytorch.training.data.own_loaders import LoaderFeed
from rbnn_deploy.pytorch.training.data.streaming import EpochReader, read_tests
from rbnn_deploy.pytorch.training.options import TrainingOptions
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.placement import memory_format
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe

# Somebody's own loaders of training and test batches: anything that has a length and yields (input, labels).
Loaders = tuple[Iterable[Batch], Iterable[Batch]]
Data = TrainingData | StreamedData | Loaders

_EVALUATION_BATCH = 256


class Feed(Protocol):
    """The batches of one process.

    Attributes:
        steps: Steps of an epoch.
        class_names: In label order, if known.
        mean: Of the images, per channel, if known.
        std: Likewise.
        input_shape: (C, H, W) of an input, if known.
        generators: Its sources of random numbers, beside PyTorch's global generators.
    """

    steps: int
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    input_shape: tuple[int, int, int] | None
    generators: tuple[torch.Generator, ...]

    def digest(self) -> str:
        """Returns a text that differs between data sets."""

    def train(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yields inputs and labels of an epoch's steps, from step `start` on, on the device.

        Before it returns, it draws all global random numbers that the steps before `start` draw.
        """

    def test(self) -> Iterator[Batch]:
        """Yields this process's share of the test set, on the device; no image is in two shares."""


def open_feed(
    data: Data, recipe: TrainingRecipe, options: TrainingOptions, processes: Processes, device: torch.device
) -> Feed:
    """Makes batches of a data set.

    Args:
        data: Images, or a pair of loaders.
        recipe: Its batch size, seed and augmentation; loaders have their own.
        options: Its workers and memory format.
        processes: Who shares the work.
        device: Where the batches are wanted.

    Raises:
        UserError: The data set is too small for the processes, or is none.
    """
    layout = memory_format(options, device)
    if isinstance(data, TrainingData):
        return _Memory(data, recipe, processes, device, layout)
    if isinstance(data, StreamedData):
        return _Stream(data, recipe, processes, device, layout, options.worker_count())
    if (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(hasattr(loader, "__len__") and hasattr(loader, "__iter__") for loader in data)
    ):
        return LoaderFeed(data[0], data[1], processes, device, layout)
    raise UserError(
        f"cannot train on a {type(data).__name__}; give TrainingData, or a pair (train_loader, test_loader) "
        "of iterables with a length"
    )


class _Images:
    """The common part of images in memory and in files: random numbers, and the way to inputs."""

    def __init__(
        self,
        data: TrainingData | StreamedData,
        count: int,
        recipe: TrainingRecipe,
        processes: Processes,
        device: torch.device,
        layout: torch.memory_format,
    ) -> None:
        self.class_names: tuple[str, ...] | None = data.class_names
        self.mean: tuple[float, ...] | None = data.mean
        self.std: tuple[float, ...] | None = data.std
        self.input_shape: tuple[int, int, int] | None = data.input_shape
        self.generators: tuple[torch.Generator, ...] = ()
        self._recipe, self._processes, self._device = recipe, processes, device
        self._layout = layout
        # On the device once: in a step, the host would wait until they are copied.
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]
            for values in (data.mean, data.std)
        )
        self._sizes = BatchSizes.of(count, recipe.batch_size, processes.world_size)
        self._count = count
        self.steps = self._sizes.steps

    def _draw(self, epoch: int) -> EpochDraws:
        recipe = self._recipe
        return EpochDraws.of(self._count, recipe.seed, epoch, recipe.crop_padding, recipe.flip)

    def _positions(self, start: int) -> list[slice]:
        return [self._sizes.share(step, self._processes.rank) for step in range(start, self.steps)]

    def _input(self, pixels: Tensor) -> Tensor:
        return to_input(pixels, self._mean, self._std, self._layout)


class _Memory(_Images):
    def __init__(
        self,
        data: TrainingData,
        recipe: TrainingRecipe,
        processes: Processes,
        device: torch.device,
        layout: torch.memory_format,
    ) -> None:
        super().__init__(data, len(data.train_labels), recipe, processes, device, layout)
        self.digest = data.digest
        self._data = data.to(device)

    def train(self, epoch: int, start: int) -> Iterator[Batch]:
        draws = self._draw(epoch).to(self._device)
        for positions in self._positions(start):
            own = draws[positions]
            pixels = augment(self._data.train_pixels[own.order], self._recipe.crop_padding, own)
            yield self._input(pixels), self._data.train_labels[own.order]

    def test(self) -> Iterator[Batch]:
        rank, world_size = self._processes.rank, self._processes.world_size
        for start in range(rank, len(self._data.test_labels), _EVALUATION_BATCH * world_size):
            chosen = slice(start, start + _EVALUATION_BATCH * world_size, world_size)
            yield self._input(self._data.test_pixels[chosen]), self._data.test_labels[chosen]


class _Stream(_Images):
    def __init__(
        self,
        data: StreamedData,
        recipe: TrainingRecipe,
        processes: Processes,
        device: torch.device,
        layout: torch.memory_format,
        workers: int,
    ) -> None:
        super().__init__(data, len(data.train), recipe, processes, device, layout)
        self.digest = data.digest
        self._data, self._workers = data, workers
        self._reader = EpochReader(data, recipe, workers, device)

    def train(self, epoch: int, start: int) -> Iterator[Batch]:
        draws = self._draw(epoch)
        positions = self._positions(start)
        order = draws.order.tolist()
        batches = [
            [(epoch, position, order[position]) for position in range(own.start, own.stop)]
            for own in positions
        ]
        draws = draws.to(self._device)
        for own, (pixels, labels) in zip(positions, self._reader.read(batches), strict=True):
            if self._data.resize is None:
                yield self._input(augment(pixels, self._recipe.crop_padding, draws[own])), labels
            else:  # the workers have cut and mirrored already
                yield self._input(pixels), labels

    def test(self) -> Iterator[Batch]:
        indices = range(self._processes.rank, len(self._data.test), self._processes.world_size)
        for pixels, labels in read_tests(self._data, indices, _EVALUATION_BATCH, self._workers, self._device):
            yield self._input(pixels), labels
