"""What the commands print and write when all is well."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from rbnn_deploy import __version__


def test_export_says_what_it_did(cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "model with spaces é.onnx"
    outcome = cli("export", checkpoint, "-o", target)
    assert outcome.code == 0, outcome.err
    assert "folded 6 binary layers, 294,912 one-bit weights" in outcome.out
    assert f"wrote {target}" in outcome.out
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_export_explains_layer_by_layer(cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    outcome = cli("export", checkpoint, "-o", tmp_path / "model.onnx", "--explain")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    layer = next(i for i, line in enumerate(lines) if line.endswith("conv1") and not line.startswith(" "))
    assert lines[layer + 1 : layer + 3] == ["  + fused: Add", "  + fused: Clip"]


def test_export_is_reproducible(cli: Callable, checkpoint: Path, model: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    assert cli("export", checkpoint, "-o", again).code == 0
    assert again.read_bytes() == model.read_bytes()


def test_export_never_overwrites_the_checkpoint(cli: Callable, checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    outcome = cli("export", checkpoint, "-o", checkpoint)
    assert outcome.code == 2
    assert "is the checkpoint itself" in outcome.err
    assert checkpoint.read_bytes() == content


def test_export_with_int8_float_layers(
    cli: Callable, checkpoint: Path, image_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.onnx"
    outcome = cli("export", checkpoint, "-o", target, "--float-layers", "int8", "--calibration", image_folder)
    assert outcome.code == 0, outcome.err
    onnx.checker.check_model(onnx.load(target), full_check=True)


@pytest.mark.parametrize(
    "options", [("--float-layers", "int8"), ("--calibration", "digits"), ("--float-layers", "int4")]
)
def test_int8_needs_calibration_and_the_other_way_round(
    options: tuple[str, str], cli: Callable, checkpoint: Path, tmp_path: Path
) -> None:
    outcome = cli("export", checkpoint, "-o", tmp_path / "model.onnx", *options)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_inspect_agrees_on_checkpoint_and_model(
    cli: Callable, checkpoint: Path, model: Path, tmp_path: Path
) -> None:
    summaries = []
    for file in (checkpoint, model):
        out = tmp_path / "summary.json"
        outcome = cli("inspect", file, "--json", out)
        assert outcome.code == 0, outcome.err
        assert "6 binary layers: 2,949,120 binary MACs" in outcome.out
        summaries.append(json.loads(out.read_text()))
    before, after = summaries
    for key in ("binary_macs", "float_macs"):
        assert before[key] == after[key]
    sizes = [[layer["size"] for layer in s["layers"] if layer["kind"] == "binary"] for s in summaries]
    assert sizes[0] == sizes[1]
    # A checkpoint has BatchNorms, alphas and angles besides, which the model has folded.
    assert 1 <= before["float_size"] / after["float_size"] < 1.02
    assert before["float_size"] > 20 * before["deployed_size"]


@pytest.mark.parametrize("runtime", ["ort", "ort-portable", "numpy"])
def test_run_shows_the_top_classes(runtime: str, cli: Callable, model: Path, image_folder: Path) -> None:
    images = sorted(image_folder.rglob("*.png"))[:2]
    outcome = cli("run", model, *images, "--runtime", runtime)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [str(image) for image in images]
    assert all(line.count("%") == 5 for line in lines)


def test_compare_writes_the_contract(
    cli: Callable, model: Path, checkpoint: Path, image_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    outcome = cli(
        "compare", model, "--checkpoint", checkpoint, "--data", image_folder, "--layers", "--json", out
    )
    assert outcome.code == 0, outcome.out + outcome.err
    report = json.loads(out.read_text())
    assert report["samples"] == 30
    assert set(report["accuracy"]) == {"torch", "ort", "ort-portable", "numpy"}
    assert len(report["pairs"]) == 6


def test_compare_refuses_another_checkpoint(
    cli: Callable, model: Path, checkpoint: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(checkpoint.read_bytes())
    with other.open("ab") as stream:
        stream.write(b"\0")
    outcome = cli("compare", model, "--checkpoint", other, "--random", 2)
    assert outcome.code == 2
    assert f"error: {model} was exported from another checkpoint (SHA-256 " in outcome.err


def test_demo_walks_the_whole_street(cli: Callable, tmp_path: Path) -> None:
    outcome = cli("demo", "--out", tmp_path, "--epochs", 1)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "All runtimes agree" in outcome.out
    assert (tmp_path / "model.onnx").exists()


def test_version(cli: Callable) -> None:
    assert cli("--version").out.strip() == __version__
