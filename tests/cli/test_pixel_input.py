"""Models that take pixels, in every command."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import rbnn_deploy
from rbnn_deploy.runtimes import RUNTIMES


@pytest.fixture(scope="module")
def digits(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "pixels.onnx"
    rbnn_deploy.export(checkpoint, path, input_format="uint8-nhwc")
    return path


def test_the_command_writes_the_same_file(
    cli: Callable, checkpoint: Path, digits: Path, tmp_path: Path
) -> None:
    outcome = cli("export", checkpoint, "-o", tmp_path / "m.onnx", "--input", "uint8-nhwc")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "m.onnx").read_bytes() == digits.read_bytes()
    for target in ("c", "qonnx"):
        arguments = ("--input", "uint8-nhwc", "--format", target)
        outcome = cli("export", checkpoint, "-o", tmp_path / "x", *arguments)
        assert outcome.code == 2
        assert f"--format {target} takes no --input" in outcome.err
    outcome = cli("export", digits, "-o", tmp_path / "c", "--format", "c")
    assert outcome.code == 2
    assert "C code has a function that takes pixels" in outcome.err
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_run_and_eval_print_what_they_print_for_the_float_model(
    cli: Callable, model: Path, digits: Path, image_folder: Path, runtime: str
) -> None:
    found = [cli("run", path, image_folder, "--runtime", runtime) for path in (model, digits)]
    assert found[0].code == found[1].code == 0
    assert found[0].out == found[1].out
    reports = []
    for path in (model, digits):
        outcome = cli("eval", path, "--data", image_folder, "--runtime", runtime, "--json", "-")
        assert outcome.code == 0, outcome.err
        reports.append(json.loads(outcome.out))
    assert reports[0]["classes"] == reports[1]["classes"]


def test_compare_bench_and_inspect_take_it(
    cli: Callable, checkpoint: Path, digits: Path, image_folder: Path, tmp_path: Path
) -> None:
    for samples in (("--random", 8), ("--data", image_folder)):
        outcome = cli("compare", digits, "--checkpoint", checkpoint, *samples, "--layers")
        assert outcome.code == 0, outcome.out + outcome.err
        assert "All runtimes agree" in outcome.out
    outcome = cli("inspect", digits)
    assert outcome.code == 0
    assert "N x 8 x 8 x 1, pixels from 0 to 255 (uint8)" in outcome.out
    assert "in the model" in outcome.out
    outcome = cli("bench", digits, "--runs", 1, "--baseline", "fp32,int8,portable", "--json", "-")
    assert outcome.code == 0, outcome.err
    found = {entry["name"] for entry in json.loads(outcome.out)["results"]}
    assert found == {"ort", "fp32", "int8", "portable"}


def test_a_board_takes_pixels_too(board: Path, cli: Callable, checkpoint: Path, digits: Path) -> None:
    there = ("--host", "pi@board", "--remote-python", sys.executable)
    outcome = cli(
        "compare", digits, "--checkpoint", checkpoint, "--random", 4, *there, "--runtimes", "torch,ort"
    )
    assert outcome.code == 0, outcome.out + outcome.err
    assert "ort on pi@board" in " ".join(outcome.out.split())
