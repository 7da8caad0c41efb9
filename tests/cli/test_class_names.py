"""Models that do not name their classes, or name them wrongly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from rbnn_deploy.cli.samples import test_samples as load_samples
from rbnn_deploy.metadata import PREFIX
from rbnn_deploy.model_files.digest import add_digest


@pytest.fixture
def changed(model: Path, tmp_path: Path) -> Callable[..., Path]:
    def change(**metadata: Any) -> Path:
        proto = onnx.load(model)
        properties = {entry.key: entry.value for entry in proto.metadata_props}
        for name, value in metadata.items():
            del properties[PREFIX + name]
            if value is not None:
                properties[PREFIX + name] = json.dumps(value)
        onnx.helper.set_model_props(proto, properties)
        add_digest(proto)
        path = tmp_path / "changed.onnx"
        onnx.save(proto, path)
        return path

    return change


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("b", "c"):
        folder = tmp_path / "images" / "test" / name
        folder.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / "0.png")
    return tmp_path / "images"


def test_fewer_classes_than_logits_have_no_labels(
    changed: Callable, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = load_samples(changed(class_names=None), str(two_classes), None)
    assert samples.count == 2
    assert samples.labels is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("warning: no accuracy, because ")
    assert "2 classes, the model has 10" in captured.err
    assert captured.err.count("\n") == 1


def test_named_classes_are_matched(
    model: Path, two_classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = load_samples(model, str(two_classes), None)
    assert samples.labels is not None
    assert samples.labels.tolist() == [1, 2]
    assert capsys.readouterr().err == ""


def test_as_many_classes_as_logits_have_labels(
    changed: Callable, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = load_samples(changed(class_names=None), str(image_folder), 10)
    assert samples.labels is not None
    assert samples.labels.tolist() == list(range(10))
    assert capsys.readouterr().err == ""


def test_compare_without_labels_reports_no_accuracy(
    cli: Callable, changed: Callable, two_classes: Path
) -> None:
    outcome = cli(
        "compare", changed(class_names=None), "--data", two_classes, "--runtimes", "ort,ort-portable"
    )
    assert outcome.code == 0, outcome.err
    assert "accuracy" not in outcome.out


def test_fewer_names_than_logits(cli: Callable, changed: Callable, two_classes: Path) -> None:
    image = next(two_classes.rglob("*.png"))
    outcome = cli("run", changed(class_names=["x", "y"], num_classes=None), image)
    assert outcome.code == 0, outcome.err
    assert (
        len(outcome.out.partition(": ")[2].split(", ")) == 5
    )  # by number, since nobody knows which two it names
    assert "x" not in outcome.out.partition(": ")[2]
