"""The accuracy of one runtime on labelled images."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.classes import check_image_classifier, check_scores, class_names
from rbnn_deploy.errors import UserError
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.runtimes import Runtime
from rbnn_deploy.tables import Table, fragment
from rbnn_deploy.text import printable

TOP = 5


@dataclass(frozen=True)
class ClassAccuracy:
    """The images of one class.

    Attributes:
        name: Of the class.
        images: How many.
        correct: For how many its logit is the largest.
    """

    name: str
    images: int
    correct: int


@dataclass(frozen=True)
class EvaluationReport:
    """The accuracy of a model in one runtime.

    Attributes:
        model: Name of the file.
        runtime: Name of the runtime.
        images: How many.
        correct: For how many the largest logit is that of the label; of equal logits the first counts.
        top5: For how many the label's logit is one of the five largest; None for five classes or fewer.
        classes: Of every class that has images.
        seconds: Time in the model alone.
    """

    model: str
    runtime: str
    images: int
    correct: int
    top5: int | None
    classes: tuple[ClassAccuracy, ...]
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of correct images."""
        return self.correct / self.images

    @property
    def images_per_second(self) -> float:
        """By the time in the model alone."""
        return self.images / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns the report for json.dumps (docs/json.md)."""
        derived = {"accuracy": self.accuracy, "images_per_second": self.images_per_second}
        return with_schema("eval", {**asdict(self), **derived})

    def to_text(self) -> str:
        """Returns the report for people."""
        return f"{self._title()}\n\n{self._table().to_text()}\n{self._speed()}"

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per class, for pandas.DataFrame and the like."""
        return [{**asdict(entry), "accuracy": entry.correct / entry.images} for entry in self.classes]

    def _repr_html_(self) -> str:
        return fragment(self._title(), [self._table()], [self._speed()])

    def _table(self) -> Table:
        rows = [
            (printable(entry.name), str(entry.images), f"{entry.correct / entry.images:.2%}")
            for entry in self.classes
        ]
        total = ("all", str(self.images), f"{self.accuracy:.2%}")
        return Table(("class", "images", "correct"), rows, text_columns=1, totals=[total])

    def _title(self) -> str:
        top5 = "" if self.top5 is None else f", top-5 {self.top5 / self.images:.2%}"
        return f"{self.model} in {self.runtime}: accuracy {self.accuracy:.2%}{top5}"

    def _speed(self) -> str:
        return f"{self.images_per_second:,.0f} images/s in the model, without reading images"


def evaluate(
    model: Runtime, samples: Iterable[npt.NDArray[Any]], labels: Sequence[int] | npt.NDArray[np.integer]
) -> EvaluationReport:
    """Counts the images that a model classifies as their labels say.

    Args:
        model: What `rbnn_deploy.load_model` returns.
        samples: Batches as the model takes them, float32 [n, C, H, W] or uint8 [n, H, W, C].
        labels: One class per image.

    Raises:
        UserError: The model gives no score per class, a label is none of its classes, there is no image, or
            there are not as many labels as images.
    """
    check_image_classifier(model.path, model.signature)
    places: list[npt.NDArray[np.intp]] = []
    seconds, done = 0.0, 0
    wanted = np.asarray(labels, np.int64)
    for x in samples:
        begin = time.perf_counter()
        logits = model.run(x)
        seconds += time.perf_counter() - begin
        check_scores(logits, model.path)
        classes = logits.shape[1]
        mine = wanted[done : done + len(x)]
        if len(mine) < len(x):
            raise UserError(f"there are {len(wanted)} labels for more images; give one for each")
        if mine.min() < 0 or mine.max() >= classes:
            raise UserError(f"a label is {mine.max()} and the model has {classes} classes; give its own data")
        order = np.argsort(-logits, axis=1, kind="stable")
        places.append(np.argmax(order == mine[:, None], axis=1))
        done += len(x)
    if not done or done < len(wanted):
        raise UserError(f"there are {len(wanted)} labels for {done} images; give one for each, at least one")
    place = np.concatenate(places)
    names = class_names(model.metadata, classes)
    present = [(c, wanted == c) for c in np.unique(wanted)]
    return EvaluationReport(
        model=str(model.path),
        runtime=model.name,
        images=done,
        correct=int(np.count_nonzero(place == 0)),
        top5=int(np.count_nonzero(place < TOP)) if classes > TOP else None,
        classes=tuple(
            ClassAccuracy(names[c], int(own.sum()), int(np.count_nonzero(place[own] == 0)))
            for c, own in present
        ),
        seconds=seconds,
    )
