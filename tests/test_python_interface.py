"""What notebooks use: results of strings and paths, as rows, JSON, text and HTML."""

import html.parser
import json
from pathlib import Path
from typing import Any

import pytest

import rbnn_deploy
from rbnn_deploy.tables import Table


class Balanced(html.parser.HTMLParser):
    """Reads HTML whose elements must all be closed, and collects its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def check(report: Any, schema: str, *words: str) -> None:
    texts = Balanced(report._repr_html_()).texts
    for word in words:
        assert word in texts
        assert word in report.to_text()
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["schema"] == f"rbnn-deploy.{schema}/1"
    rows = report.rows()
    assert rows
    assert all(row.keys() == rows[0].keys() for row in rows)


def test_inspect_takes_both_kinds_of_file_as_string_and_path(checkpoint: Path, model: Path) -> None:
    for file in (checkpoint, model):
        summaries = [rbnn_deploy.inspect(name) for name in (file, str(file))]
        assert summaries[0].rows() == summaries[1].rows()
        check(summaries[0], "inspect", summaries[0].layers[0].name)


def test_bench(small_model_path: Path) -> None:
    report = rbnn_deploy.bench(str(small_model_path), runs=1, baselines=["fp32"])
    check(report, "bench", "fp32 (same net)", report.layers[0].name)
    assert [row["name"] for row in report.rows()] == ["ort", "fp32"]
    layers = report.layer_rows()
    assert [row["kind"] for row in layers].count("binary") == len(report.layers)
    assert all(row.keys() == layers[0].keys() for row in layers)


def test_compare_takes_a_checkpoint_and_a_data_set(checkpoint: Path, model: Path, image_folder: Path) -> None:
    report = rbnn_deploy.compare(str(model), str(checkpoint), str(image_folder), layers=True, limit=10)
    assert report.samples == 10
    assert set(report.accuracy) == {"torch", "ort", "ort-portable", "numpy"}
    check(report, "compare", "torch / ort")
    assert {row["layer"] for row in report.layer_rows()} == {layer.name for layer in report.layers}
    # The same as the command's, which prepares the same images.
    loaded = rbnn_deploy.load_checkpoint(checkpoint)
    assert rbnn_deploy.compare(model, loaded, image_folder, limit=10).rows() == report.rows()


def test_evaluate(model: Path, image_folder: Path) -> None:
    from rbnn_deploy.classifying import images_for  # noqa: PLC0415
    from rbnn_deploy.data import preprocessing_of  # noqa: PLC0415

    found = images_for(str(model), str(image_folder))
    batches = (x for x, _ in found.images.batches(16, preprocessing_of(found.metadata)))
    report = rbnn_deploy.evaluate(rbnn_deploy.load_model(model), batches, found.labels)
    check(report, "eval", "a", "all")
    assert sum(row["images"] for row in report.rows()) == report.images == 30


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ("ort", ["OrtRuntime 'ort'", "digits/resnet8_1w1a", "float32 [N, 1, 8, 8]", "kernel portable"]),
        ("ort-portable", ["'ort-portable'", "functions of the model"]),
        ("numpy", ["NumpyRuntime 'numpy'", "model.onnx"]),
    ],
)
def test_a_runtime_says_what_it_runs(
    runtime: str, words: list[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBNN_KERNEL", "portable")
    loaded = rbnn_deploy.load_model(str(model), runtime)
    for word in words:
        assert word in repr(loaded)
    monkeypatch.setenv("RBNN_KERNEL", "nonsense")
    assert repr(loaded).startswith("<")  # a refusal elsewhere is no reason for none


def test_texts_of_somebody_else_are_escaped() -> None:
    table = Table(("<b>", "n"), [("</td><script>alert(1)</script>", "\x1b[31m&")], 1, title='"&"')
    parsed = Balanced(table.to_html())
    assert parsed.texts == ['"&"', "<b>", "n", "</td><script>alert(1)</script>", r"\x1b[31m&"]
