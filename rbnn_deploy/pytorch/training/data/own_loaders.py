"""Batches of somebody's own loaders, checked before the loss or the accuracy misunderstands them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.data.batches import Batch
from rbnn_deploy.pytorch.training.parallel import Processes


class LoaderFeed:
    """The batches of a pair of loaders, as `rbnn_deploy.pytorch.training.data.feeds.Feed` has them.

    Args:
        train: Yields the training batches of this process.
        test: Yields all test batches.
        processes: Who trains.
        device: Where the batches are wanted.
        layout: Of inputs with four axes.

    Raises:
        UserError: A loader has no length, or yields nothing.
    """

    def __init__(
        self,
        train: Any,
        test: Any,
        processes: Processes,
        device: torch.device,
        layout: torch.memory_format,
    ) -> None:
        self.class_names: tuple[str, ...] | None = None
        self.mean: tuple[float, ...] | None = None
        self.std: tuple[float, ...] | None = None
        self.input_shape: tuple[int, int, int] | None = None
        self._train, self._test = train, test
        self._processes, self._device, self._layout = processes, device, layout
        self.steps, self._tests = _length(train, "training"), _length(test, "test")
        self.generators = _generators(train, test)

    def digest(self) -> str:
        """Returns the few facts that are known without reading all images."""
        return f"loaders of {self.steps} and {self._tests} batches"

    def train(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yields an epoch's batches from step `start` on; raises UserError where they are no batches."""
        # torch.utils.data.DistributedSampler draws another order in every epoch only if it is told.
        for name in ("sampler", "batch_sampler"):
            sampler: Any = getattr(self._train, name, None)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
        batches = iter(self._train)
        for _ in range(start):
            next(batches, None)
        return self._rest(batches, start)

    def _rest(self, batches: Iterator[Any], done: int) -> Iterator[Batch]:
        for batch in batches:
            done += 1
            if done > self.steps:
                break
            yield self._move(batch)
        if done != self.steps:
            raise UserError(
                f"the training loader has a length of {self.steps} and yielded "
                f"{'more' if done > self.steps else done} batches; make them agree in every epoch"
            )

    def test(self) -> Iterator[Batch]:
        """Yields this process's share of the test batches; raises UserError where they are none."""
        for index, batch in enumerate(self._test):
            if index % self._processes.world_size == self._processes.rank:
                yield self._move(batch)

    def _move(self, batch: Any) -> Batch:
        x, labels = _checked(batch)
        x = x.to(self._device, torch.float32, non_blocking=True)
        if x.ndim == 4:
            x = x.contiguous(memory_format=self._layout)
        return x, labels.to(self._device, torch.int64, non_blocking=True)


def _length(loader: Any, of: str) -> int:
    try:
        length = len(loader)
    except TypeError:  # a DataLoader over an IterableDataset without __len__
        raise UserError(
            f"the loader of {of} images has no length; give its data set __len__, the number of images"
        ) from None
    if length < 1:
        raise UserError(f"the {of} loader yields no batch; give it images, or a smaller batch size")
    return length


def _generators(*loaders: Any) -> tuple[torch.Generator, ...]:
    """Returns the generators that DataLoaders were given, each once."""
    found: dict[int, torch.Generator] = {}
    for loader in loaders:
        owners = (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None))
        for owner in (*owners, getattr(owners[2], "sampler", None)):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator):
                found[id(generator)] = generator
    return tuple(found.values())


def _checked(batch: Any) -> Batch:
    """Returns a batch of somebody's loader, if it is one that the loss and the accuracy can take."""
    if not (
        isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(b, Tensor) for b in batch)
    ):
        raise UserError(
            f"a loader yielded a {type(batch).__name__} that is no pair of tensors; "
            "let it yield (input, labels)"
        )
    x, labels = batch
    if not x.is_floating_point():
        raise UserError(f"a loader yielded inputs of type {x.dtype}; convert and normalise them to float32")
    if labels.shape != x.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise UserError(
            f"a loader yielded labels of type {labels.dtype} and shape {list(labels.shape)} for {len(x)} "
            "inputs; give one whole number an input, the index of its class"
        )
    return x, labels
