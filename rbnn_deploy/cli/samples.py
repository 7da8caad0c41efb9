"""Inputs for a deployed model: test images prepared as its metadata says, or random numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import typer

from rbnn_deploy.classifying import images_for
from rbnn_deploy.cli.output import note
from rbnn_deploy.data import preprocessing_of
from rbnn_deploy.data.array_files import read_arrays
from rbnn_deploy.data.model_inputs import not_normalised
from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import batch_size
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.signature import Array, batches, count_samples

BATCH = 50
Batch = TypeVar("Batch", Array, dict[str, Array])


@dataclass(frozen=True)
class Samples(Generic[Batch]):
    """A sequence of inputs.

    Attributes:
        count: How many.
        labels: int64 [count], or None.
        make: Yields the inputs in batches: images, float32 [n, C, H, W] or uint8 [n, H, W, C], or
            arrays by input.
    """

    count: int
    labels: npt.NDArray[np.int64] | None
    make: Callable[[], Iterator[Batch]]

    def batches(self, advance: Callable[[int], None]) -> Iterator[Batch]:
        """Yields the inputs in batches and reports progress as they are asked for."""
        for batch in self.make():
            yield batch
            advance(count_samples(batch) if isinstance(batch, dict) else len(batch))


def test_samples(model: Path, source: str, limit: int | None) -> Samples[Array]:
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
        lambda: (x for x, _ in images.batches(batch_size(metadata.image.input_shape, BATCH), prepare)),
    )


def note_normalisation(model: Path, metadata: ModelMetadata) -> None:
    """Says that a model's images are not normalised, because its file says nothing of it."""
    if (sentence := not_normalised(metadata, model)) is not None:
        note(f"note: {sentence}")


def file_samples(model: Path, path: Path) -> Samples[dict[str, Array]]:
    """Reads the inputs of a file: normalised arrays, as the model takes them.

    Raises:
        UserError: See `rbnn_deploy.data.array_files.read_arrays` and `Signature.feeds`; or there is none.
    """
    takes = signature(read_model(model).model.graph)
    found = takes.feeds(read_arrays(path, [spec.name for spec in takes.inputs]))
    if not count_samples(found):
        raise UserError(f"{path} holds no sample; write at least one")
    return Samples(count_samples(found), None, lambda: batches(found, takes.batch_size(BATCH)))


def random_samples(model: Path, count: int, seed: int) -> Samples[dict[str, Array]]:
    """Draws random values for every input (`rbnn_deploy.signature.TensorSpec.draw`).

    Raises:
        UserError: The size of an input is open, or the count is below 1.
    """
    file = read_model(model)
    takes = signature(file.model.graph).with_sizes(file.metadata.input_shape if file.metadata else None)
    if count < 1:
        raise UserError(f"--random takes a number of at least 1, not {count}")
    takes.draw(np.random.default_rng(seed), 0)  # raises here, before anything is loaded
    most = takes.batch_size(BATCH)

    def make() -> Iterator[dict[str, Array]]:
        rng = np.random.default_rng(seed)
        for start in range(0, count, most):
            size = min(most, count - start)
            yield takes.draw(rng, size)

    return Samples(count, None, make)
