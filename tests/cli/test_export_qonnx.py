"""`export --format qonnx`: from a checkpoint to QONNX."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from rbnn_deploy.models import EMBEDDED_MODEL


def test_a_checkpoint_becomes_qonnx(cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.qonnx.onnx"
    outcome = cli("export", checkpoint, "--format", "qonnx", "-o", target, "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert content["nodes"]["BipolarQuant"] == 2 * len(content["layers"]) > 0
    assert content["size"] == target.stat().st_size
    assert any(node.op_type == "BipolarQuant" for node in onnx.load(target).graph.node)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--float-layers", "int8"], ("--format qonnx takes no --float-layers",)),
        (["--explain", "--no-simplify"], ("--explain and no --no-simplify",)),
        ([], ("deployed model", "name the checkpoint")),
    ],
)
def test_bad_use(options: list[str], words: tuple[str, ...], cli: Callable, tmp_path: Path) -> None:
    outcome = cli("export", EMBEDDED_MODEL, "--format", "qonnx", "-o", tmp_path / "model.onnx", *options)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert not list(tmp_path.iterdir())
