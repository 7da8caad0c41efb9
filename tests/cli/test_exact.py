"""`export --float-layers exact` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rbnn_deploy


@pytest.fixture(scope="module")
def model(checkpoint: Path, image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exact") / "model.onnx"
    rbnn_deploy.export(checkpoint, path, float_layers="exact", calibration=image_folder)
    return path


def test_export_says_which_layers_have_int8_weights(
    checkpoint: Path, image_folder: Path, tmp_path: Path, cli: Callable
) -> None:
    outcome = cli(
        *("export", checkpoint, "-o", tmp_path / "model.onnx", "--float-layers", "exact"),
        *("--calibration", image_folder, "--explain", "--json", "-"),
    )
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert content["int8_layers"] == ["conv1", "linear"]
    assert content["nodes"]["QuantConv2d"] == 2
    assert "Conv" not in content["nodes"]
    notes = [note for note in content["notes"] if note["layer"] == "linear"]
    assert "int8 weights and exact sums, with the mean in front" in [note["text"] for note in notes]


def test_commands_take_the_model(model: Path, checkpoint: Path, image_folder: Path, cli: Callable) -> None:
    outcome = cli(
        *("compare", model, "--checkpoint", checkpoint, "--data", image_folder, "--min-agreement", 0)
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert "ort-portable aside, give equal logits" in " ".join(outcome.out.split())
    outcome = cli("inspect", model, "--json", "-")
    layers = json.loads(outcome.out)["layers"]
    assert [layer["name"] for layer in layers if layer["operator"].startswith("QuantConv2d")] == [
        "conv1",
        "linear",
    ]
    outcome = cli("bench", model, "--runs", 2, "--warmup", 1, "--json", "-")
    assert outcome.code == 0, outcome.err
    assert {layer["name"] for layer in json.loads(outcome.out)["int8_layers"]} == {"conv1", "linear"}


def test_pixels_give_the_logits_of_normalised_images(
    model: Path, checkpoint: Path, image_folder: Path, tmp_path: Path, cli: Callable
) -> None:
    path = tmp_path / "pixels.onnx"
    outcome = cli(
        *("export", checkpoint, "-o", path, "--float-layers", "exact", "--calibration", image_folder),
        *("--input", "uint8-nhwc"),
    )
    assert outcome.code == 0, outcome.err
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    floats = ((pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(
        rbnn_deploy.load_model(path).run(pixels), rbnn_deploy.load_model(model).run(floats.copy())
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--float-layers", "exact"], "need calibration images"),
        (["--calibration", "IMAGES"], "need calibration images"),
        (["--float-layers", "exakt", "--calibration", "IMAGES"], "choose one of float32, int8, exact"),
        (
            ["--float-layers", "exact", "--calibration", "IMAGES", "--no-simplify"],
            "need the simplified graph",
        ),
        (["--float-layers", "exact", "--calibration", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_end_with_a_sentence(
    options: list[str], sentence: str, checkpoint: Path, image_folder: Path, tmp_path: Path, cli: Callable
) -> None:
    target = tmp_path / "model.onnx"
    given = [str(image_folder) if option == "IMAGES" else option for option in options]
    outcome = cli("export", checkpoint, "-o", target, *given)
    assert outcome.code == 2
    assert sentence in " ".join(outcome.err.split())
    assert not target.exists()


def test_c_of_a_checkpoint_can_have_exact_layers(
    checkpoint: Path, image_folder: Path, tmp_path: Path, cli: Callable
) -> None:
    options = ("export", checkpoint, "--format", "c", "-o", tmp_path / "c", "--calibration", image_folder)
    outcome = cli(*options, "--float-layers", "exact")
    assert outcome.code == 0, outcome.err
    assert "quant_conv2d_map(" in (tmp_path / "c/model.c").read_text()
    outcome = cli(*options, "--float-layers", "int8")
    assert outcome.code == 2
    assert "takes no --float-layers" in outcome.err


@pytest.mark.parametrize("rule", ["percentile", "mse"])
def test_the_range_of_activations_can_be_chosen(
    rule: str, checkpoint: Path, image_folder: Path, model: Path, tmp_path: Path, cli: Callable
) -> None:
    path = tmp_path / "model.onnx"
    outcome = cli(
        *("export", checkpoint, "-o", path, "--float-layers", "exact", "--calibration", image_folder),
        *("--calibration-range", rule),
    )
    assert outcome.code == 0, outcome.err
    x = np.random.default_rng(0).standard_normal((2, 1, 8, 8), np.float32)
    assert np.isfinite(rbnn_deploy.load_model(path).run(x)).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--calibration-range", "mse"], "belongs to exact float layers"),
        (
            ["--float-layers", "exact", "--calibration-range", "median"],
            "choose one of minmax, percentile, mse",
        ),
    ],
)
def test_a_range_that_does_not_fit_ends_with_a_sentence(
    options: list[str], sentence: str, checkpoint: Path, image_folder: Path, tmp_path: Path, cli: Callable
) -> None:
    given = ["--calibration", image_folder] if "exact" in options else []
    outcome = cli("export", checkpoint, "-o", tmp_path / "model.onnx", *options, *given)
    assert outcome.code == 2
    assert sentence in " ".join(outcome.err.split())
