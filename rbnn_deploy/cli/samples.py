"""Inputs for a deployed model: test images prepared as its metadata says, or random numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import typer

from rbnn_deploy.classifying import images_for
from rbnn_deploy.cli.output import note
from rbnn_deploy.data import preprocessing_of
from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import Float32, batch_size, random_batch
from rbnn_deploy.inspecting import read_metadata
from rbnn_deploy.metadata import ModelMetadata

BATCH = 50


@dataclass(frozen=True)
class Samples:
    """A sequence of inputs.

    Attributes:
        count: How many.
        labels: int64 [count], or None.
        make: Yields the inputs in batches, float32 [n, C, H, W].
    """

    count: int
    labels: npt.NDArray[np.int64] | None
    make: Callable[[], Iterator[Float32]]

    def batches(self, advance: Callable[[int], None]) -> Iterator[Float32]:
        """Yields the inputs in batches and reports progress as they are asked for."""
        for batch in self.make():
            yield batch
            advance(len(batch))


def test_samples(model: Path, source: str, limit: int | None) -> Samples:
    """Prepares the test images of a data set.

    Args:
        model: The deployed model; its metadata says how images become inputs.
        source: See `rbnn_deploy.data.load_test_images`.
        limit: How many images; None for all.

    Returns:
        The samples, without labels where the model does not say which of its classes the data set's are.

    Raises:
        UserError: The model has no metadata, or the images cannot be loaded.
    """
    found = images_for(model, source, limit)
    metadata, images, labels = found.metadata, found.images, found.labels
    if found.doubt is not None:
        typer.echo(f"warning: no accuracy, because {found.doubt}", err=True)
    note_normalisation(model, metadata)
    prepare = preprocessing_of(metadata)
    return Samples(
        len(images),
        labels,
        lambda: (x for x, _ in images.batches(batch_size(metadata.input_shape, BATCH), prepare)),
    )


def note_normalisation(model: Path, metadata: ModelMetadata) -> None:
    """Says that a model's images are not normalised, because its file says nothing of it."""
    if metadata.mean is None and metadata.std is None:
        note(
            f"note: {model} has no mean and std, so images are scaled to [0, 1] and not normalised; export "
            "it with its metadata if it was trained otherwise"
        )


def random_samples(model: Path, count: int, seed: int) -> Samples:
    """Draws normally distributed inputs.

    Raises:
        UserError: The model's input size is not known, or the count is below 1.
    """
    metadata = read_metadata(model)
    if metadata is None:
        raise UserError(f"{model} does not tell its input's size; use a file that `rbnn-deploy export` wrote")
    if count < 1:
        raise UserError(f"--random takes a number of at least 1, not {count}")
    most = batch_size(metadata.input_shape, BATCH)

    def make() -> Iterator[Float32]:
        rng = np.random.default_rng(seed)
        for start in range(0, count, most):
            size = min(most, count - start)
            yield random_batch(rng, size, metadata.input_shape)

    return Samples(count, None, make)
