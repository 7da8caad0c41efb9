"""`run` and `eval`: what they take, and what they print where."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from rbnn_deploy import load_model
from rbnn_deploy.classes import CIFAR10
from rbnn_deploy.data import load_image, preprocessing_of
from rbnn_deploy.metadata import PREFIX
from rbnn_deploy.model_files.digest import add_digest
from rbnn_deploy.models import EMBEDDED_MODEL


def test_every_form_of_an_image_has_the_same_classes(
    cli: Callable, model: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(image_folder.rglob("*.png"))[:3]
    loaded = load_model(model)
    prepare = preprocessing_of(loaded.metadata)
    images = [load_image(path) for path in paths]
    np.save(tmp_path / "pixels.npy", np.stack([np.asarray(image) for image in images])[..., None])
    np.save(tmp_path / "inputs.npy", np.stack([prepare(image) for image in images]))

    def classes(*names: object) -> list[str]:
        outcome = cli("run", model, *names, "--top", 10)
        assert outcome.code == 0, outcome.err
        return [line.partition(": ")[2] for line in outcome.out.splitlines()]

    wanted = classes(*paths)
    assert len(wanted) == 3
    assert classes(tmp_path / "pixels.npy") == wanted
    assert classes(tmp_path / "inputs.npy") == wanted
    assert classes(f"{paths[0].parent}/*.png") == wanted
    assert classes(paths[0].parent) == wanted
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(paths[1].read_bytes())))
    assert classes("-") == wanted[1:2]


def test_json_has_the_logits_of_the_model(cli: Callable, model: Path, image_folder: Path) -> None:
    paths = sorted(image_folder.rglob("*.png"))
    loaded = load_model(model)
    prepare = preprocessing_of(loaded.metadata)
    logits = loaded.run(np.stack([prepare(load_image(path)) for path in paths]))
    outcome = cli("run", model, image_folder, "--top", 2, "--json", "-", "--quiet")
    assert outcome.err == ""
    content = json.loads(outcome.out)
    assert [entry["image"] for entry in content["images"]] == list(map(str, paths))
    for row, entry in zip(logits, content["images"], strict=True):
        assert [found["index"] for found in entry["classes"]] == np.argsort(-row, kind="stable")[:2].tolist()
        # A batch of another size may add float products in another order.
        np.testing.assert_allclose([f["logit"] for f in entry["classes"]], np.sort(row)[::-1][:2], atol=1e-3)


def test_json_in_a_file_comes_beside_the_text(
    cli: Callable, model: Path, image_folder: Path, tmp_path: Path
) -> None:
    outcome = cli("run", model, image_folder, "--json", tmp_path / "classes.json")
    assert len(outcome.out.splitlines()) == 30
    assert len(json.loads((tmp_path / "classes.json").read_text())["images"]) == 30
    assert re.search(
        r"^30 images in [\d.]+ s, [\d,]+ images/s; [\d.]+ s of it in the model$", outcome.err, re.M
    )


def test_labels_name_the_classes(cli: Callable, model: Path, image_folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"class \x1b[31m{i}\n" for i in range(10)))
    image = next(image_folder.rglob("*.png"))
    outcome = cli("run", model, image, "--labels", labels, "--top", 1)
    assert re.search(r": class \\x1b\[31m\d [\d.]+%$", outcome.out.strip())
    labels.write_text("one\ntwo\n")
    outcome = cli("run", model, image, "--labels", labels)
    assert outcome.code == 2
    assert "there are 2 labels for 10 classes" in outcome.err


def test_classes_of_cifar10_are_known_by_the_networks_name(cli: Callable, tmp_path: Path) -> None:
    proto = onnx.load(EMBEDDED_MODEL)
    properties = {e.key: e.value for e in proto.metadata_props if e.key != f"{PREFIX}class_names"}
    onnx.helper.set_model_props(proto, properties)
    add_digest(proto)
    onnx.save(proto, tmp_path / "nameless.onnx")
    Image.new("RGB", (32, 32), (9, 99, 200)).save(tmp_path / "image.png")
    own, nameless = (
        cli("run", file, tmp_path / "image.png") for file in (EMBEDDED_MODEL, tmp_path / "nameless.onnx")
    )
    assert own.out == nameless.out
    assert any(name in own.out for name in CIFAR10)


def test_a_model_without_metadata_takes_inputs_and_no_pixels(
    cli: Callable, model: Path, image_folder: Path, tmp_path: Path
) -> None:
    proto = onnx.load(model)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "bare.onnx")
    image = next(image_folder.rglob("*.png"))
    outcome = cli("run", tmp_path / "bare.onnx", image)
    assert outcome.code == 2
    assert "does not say how images become its input" in outcome.err
    np.save(tmp_path / "x.npy", np.zeros((2, 1, 8, 8), np.float32))
    outcome = cli("run", tmp_path / "bare.onnx", tmp_path / "x.npy")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("x.npy[") == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--top", 0], "--top"), (["--json", "."], "cannot write"), (["--labels", "."], "folder")],
)
def test_bad_options(
    options: list[object], words: str, cli: Callable, model: Path, image_folder: Path
) -> None:
    outcome = cli("run", model, image_folder, *options)
    assert outcome.code == 2
    assert words in outcome.err


def test_inputs_of_unlike_sizes(cli: Callable, model: Path, tmp_path: Path) -> None:
    for name, size in (("a", 8), ("b", 9)):
        np.save(tmp_path / f"{name}.npy", np.zeros((1, size, size), np.float32))
    outcome = cli("run", model, tmp_path / "a.npy", tmp_path / "b.npy")
    assert outcome.code == 2
    assert "run them one by one" in outcome.err


@pytest.mark.parametrize("runtime", ["ort", "ort-portable", "numpy"])
def test_eval_finds_the_accuracy_of_compare(
    runtime: str, cli: Callable, model: Path, image_folder: Path, tmp_path: Path
) -> None:
    outcome = cli(
        "eval", model, "--data", image_folder, "--runtime", runtime, "--json", tmp_path / "eval.json"
    )
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "eval.json").read_text())
    cli(
        "compare",
        model,
        "--data",
        image_folder,
        "--runtimes",
        "ort,ort-portable,numpy",
        "--json",
        tmp_path / "c",
    )
    assert found["accuracy"] == json.loads((tmp_path / "c").read_text())["accuracy"][runtime]
    assert found["images"] == 30
    assert [entry["images"] for entry in found["classes"]] == [3] * 10
    assert f"accuracy {found['accuracy']:.2%}" in outcome.out


@pytest.mark.parametrize("command", [["run"], ["eval", "--data"]])
def test_a_model_that_is_no_image_classifier(
    command: list[str], cli: Callable, image_folder: Path, tmp_path: Path
) -> None:
    shapes = {"left": ["N", 3], "right": ["N", 3], "sum": ["N", 3]}
    left, right, total = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items())
    node = helper.make_node("Add", ["left", "right"], ["sum"])
    graph = helper.make_graph([node], "g", [left, right], [total])
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    outcome = cli(command[0], path, *command[1:], image_folder)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {path} is no image classifier, since it maps left: float32 [N, 3], right: float32 [N, 3] "
        "-> float32 [N, 3]; use rbnn_deploy.load_model(...).run in Python\n"
    )


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (32, 32, 5)])
def test_pixels_without_channels_last_are_refused(cli: Callable, tmp_path: Path, shape: tuple) -> None:
    np.save(tmp_path / "pixels.npy", np.zeros(shape, np.uint8))
    outcome = cli("run", tmp_path / "pixels.npy")
    assert outcome.code == 2
    assert "put the channels last" in outcome.err
    assert "internal" not in outcome.err
