"""The most probable classes of logits, and the names of classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import read_regular_file
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.signature import Signature
from rbnn_deploy.text import printable

# The reference's checkpoints name no classes; these are the data set's own, in the order of its labels.
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_FAMILY = "cifar10/"


@dataclass(frozen=True)
class ScoredClass:
    """A class that an image may be of.

    Attributes:
        index: Position of its logit.
        name: Its name, or its index as text.
        logit: The logit; None where the network gave no finite number.
        probability: The softmax of the logits there; None where one of them is no finite number.
    """

    index: int
    name: str
    logit: float | None
    probability: float | None


def check_image_classifier(path: Path, signature: Signature) -> None:
    """Checks, before anything is computed, that a model maps images to one row of scores.

    Raises:
        UserError: It does not.
    """
    scores = signature.outputs[0].shape if len(signature.outputs) == 1 else ()
    if not signature.takes_images or (scores is not None and len(scores) != 2):
        raise UserError(
            f"{printable(str(path))} is no image classifier, since it maps {signature.describe()}; "
            "use rbnn_deploy.load_model(...).run in Python"
        )


def check_scores(logits: npt.NDArray[Any], path: Path) -> None:
    """Checks that a network's output holds one score per class.

    Raises:
        UserError: It does not.
    """
    if logits.ndim != 2 or logits.shape[1] < 2 or not np.issubdtype(logits.dtype, np.floating):
        shape = "x".join(map(str, logits.shape[1:])) or "one"
        raise UserError(
            f"{path} gives {shape} numbers of type {logits.dtype} per image, not one score for each of two "
            "or more classes; use rbnn_deploy.load_model(...).run in Python"
        )


def top_classes(logits: npt.NDArray[Any], names: Sequence[str], count: int) -> list[list[ScoredClass]]:
    """Returns the most probable classes of each image, best first.

    Args:
        logits: float [N, classes].
        names: One per class.
        count: How many classes per image; all if there are fewer.
    """
    scores = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite logits: their softmax is no number
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return [
        [
            ScoredClass(int(i), names[i], _finite(row[i]), _finite(shares[i]))
            for i in np.argsort(-row, kind="stable")[:count]
        ]
        for row, shares in zip(scores, probabilities, strict=True)
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def class_names(
    metadata: ModelMetadata | None, count: int, labels: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Returns the names of a model's classes: those given, its own, the data set's, or numbers.

    Args:
        metadata: The model's.
        count: Number of its logits.
        labels: Names that replace the model's.

    Raises:
        UserError: There are more or fewer labels than logits.
    """
    if labels is not None:
        if len(labels) != count:
            raise UserError(
                f"there are {len(labels)} labels for {count} classes; write one name per line, in their order"
            )
        return tuple(labels)
    own = None if metadata is None else metadata.class_names
    if own is not None and len(own) == count:
        return own
    if own is None and metadata is not None and metadata.architecture.startswith(CIFAR10_FAMILY):
        own = CIFAR10 if count == len(CIFAR10) else None
    return own if own is not None and len(own) == count else tuple(map(str, range(count)))


def read_class_names(path: Path) -> list[str]:
    """Reads names of classes, one per line; empty lines at the end do not count.

    Raises:
        UserError: The file cannot be read, is no UTF-8 text, or has an empty line or none at all.
    """
    try:
        lines = read_regular_file(path, "the labels").decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text; write one name per line") from None
    names = [line.strip() for line in lines]
    if not names or not all(names):
        raise UserError(f"{path} has an empty line; write one name per line, in the order of the classes")
    return names
