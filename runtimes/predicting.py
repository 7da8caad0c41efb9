"""Classes of images by a loaded model: images are prepared, run in batches of bounded memory, and named."""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbnn_deploy.classes import (
    ScoredClass,
    check_image_classifier,
    check_scores,
    class_names,
    top_classes,
)
from rbnn_deploy.data.model_inputs import not_normalised, prepared
from rbnn_deploy.data.sources import Images, ImageSource, sources_of
from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes.base import Runtime

BATCH = 16  # bounds the memory, however many images there are


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one image.

    Attributes:
        image: What the image is called: its path, or "image 3" for the fourth that was given without one.
        classes: The most probable first; at least one.
    """

    image: str
    classes: tuple[ScoredClass, ...]

    @property
    def name(self) -> str:
        """Name of the most probable class."""
        return self.classes[0].name

    @property
    def probability(self) -> float | None:
        """Its probability; None where a logit is no finite number."""
        return self.classes[0].probability


@dataclass(frozen=True)
class PredictedBatch:
    """Some images that ran together.

    Attributes:
        predictions: One per image.
        seconds: Time in the model alone.
    """

    predictions: tuple[Prediction, ...]
    seconds: float


def predict(model: Runtime, images: Images, top: int, labels: Sequence[str] | None) -> list[Prediction]:
    """See `Runtime.predict`."""
    if model.metadata is not None and (sentence := not_normalised(model.metadata, model.path)) is not None:
        warnings.warn(sentence, stacklevel=3)
    batches = predicted_batches(model, sources_of(images), top, labels)
    return [prediction for batch in batches for prediction in batch.predictions]


def predicted_batches(
    model: Runtime, sources: Sequence[ImageSource], top: int, labels: Sequence[str] | None
) -> Iterator[PredictedBatch]:
    """Classifies images batch by batch, each image being decoded when its batch runs.

    Args:
        model: The model.
        sources: The images.
        top: How many classes to name per image, at least 1.
        labels: Names of the classes; None takes those of the model.

    Raises:
        UserError: See `Runtime.predict`.
    """
    if not isinstance(top, int) or top < 1:
        raise UserError(f"at least 1 class is named per image, not {top}; give a positive number")
    check_image_classifier(model.path, model.signature)
    prepare = prepared(model.metadata, model.path)
    fixed = (model.signature.inputs[0].shape or (None,))[0]
    size = fixed if isinstance(fixed, int) else model.signature.batch_size(BATCH)
    for start in range(0, len(sources), size):
        batch = sources[start : start + size]
        x = _stacked([(source.name, prepare(source.read())) for source in batch])
        begin = time.perf_counter()
        logits = model.run(x)
        seconds = time.perf_counter() - begin
        check_scores(logits, model.path)
        names = class_names(model.metadata, logits.shape[1], labels)
        yield PredictedBatch(
            tuple(
                Prediction(source.name, tuple(best))
                for source, best in zip(batch, top_classes(logits, names, top), strict=True)
            ),
            seconds,
        )


def _stacked(inputs: list[tuple[str, Any]]) -> Any:
    """Joins inputs, which may differ in size if they come from arrays of somebody's own."""
    first, shape = inputs[0][0], inputs[0][1].shape
    for name, x in inputs:
        if x.shape != shape:
            raise UserError(
                f"{name} is an input of {list(x.shape)}, and {first} one of {list(shape)}; "
                "run them one by one"
            )
    return np.stack([x for _, x in inputs])
