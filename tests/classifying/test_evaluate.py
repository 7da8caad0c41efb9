"""Accuracy of a runtime whose logits are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rbnn_deploy.classifying import evaluate
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.runtimes import Runtime
from rbnn_deploy.signature import Signature, TensorSpec


class Given(Runtime):
    """Gives the first row of each image as its logits."""

    name = "given"
    path = Path("given.onnx")

    def __init__(self, classes: int) -> None:
        images = TensorSpec("x", "float32", ("N", 1, 2, classes))
        self.signature = Signature((images,), (TensorSpec("y", "float32", ("N", classes)),))
        self.metadata = ModelMetadata("given", (1, 2, classes), class_names=tuple("abcdefghij"[:classes]))

    def _run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        return {"y": feeds["x"][:, 0, 0]}


def images(logits: list[list[float]]) -> np.ndarray:
    x = np.zeros((len(logits), 1, 2, len(logits[0])), np.float32)
    x[:, 0, 0] = logits
    return x


def test_counts_in_all_and_per_class() -> None:
    rows = [[9, 0, 0], [0, 9, 0], [0, 9, 0], [5, 5, 0], [5, 5, 0]]
    report = evaluate(Given(3), [images(rows[:2]), images(rows[2:])], [0, 1, 2, 0, 1])
    assert (report.images, report.correct, report.accuracy, report.top5) == (5, 3, 0.6, None)
    assert [(c.name, c.images, c.correct) for c in report.classes] == [("a", 2, 2), ("b", 2, 1), ("c", 1, 0)]
    text = report.to_text()
    assert "accuracy 60.00%" in text
    assert "top-5" not in text


def test_top_five() -> None:
    ascending = [[float(i) for i in range(7)]] * 3
    report = evaluate(Given(7), [images(ascending)], [6, 2, 1])
    assert (report.correct, report.top5) == (1, 2)
    assert "top-5 66.67%" in report.to_text()


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 3], [-1, 0]])
def test_labels_that_do_not_fit(labels: list[int]) -> None:
    with pytest.raises(UserError, match="label"):
        evaluate(Given(3), [images([[1, 0, 0], [1, 0, 0]])], labels)


def test_no_image() -> None:
    with pytest.raises(UserError, match="at least one"):
        evaluate(Given(3), [], [])


def test_one_score_is_no_class() -> None:
    with pytest.raises(UserError, match="not one score"):
        evaluate(Given(1), [images([[1.0]])], [0])
