"""`export --format qonnx`: from a checkpoint to QONNX; and `export` of a QONNX model."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from support.json_docs import assert_documented

from rbnn_deploy.errors import UserError
from rbnn_deploy.inspecting import read_metadata
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.runtimes import load_model


def test_a_checkpoint_becomes_qonnx(cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.qonnx.onnx"
    outcome = cli("export", checkpoint, "--format", "qonnx", "-o", target, "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert content["nodes"]["BipolarQuant"] == 2 * len(content["layers"]) > 0
    assert content["size"] == target.stat().st_size
    assert any(node.op_type == "BipolarQuant" for node in onnx.load(target).graph.node)
    with pytest.raises(UserError, match="is a QONNX model; make a deployed one of it"):
        load_model(target)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--float-layers", "int8"], ("--format qonnx takes no --float-layers",)),
        (["--explain", "--no-simplify"], ("--explain and no --no-simplify",)),
        ([], ("a model already", "name the checkpoint")),
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


def test_qonnx_becomes_a_deployed_model_with_its_metadata(
    cli: Callable, checkpoint: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "model.qonnx.onnx", tmp_path / "model.onnx"
    assert cli("export", checkpoint, "--format", "qonnx", "-o", source).code == 0
    outcome = cli("export", source, "-o", target, "--std", "0.25", "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert_documented(content, absent={"int8_layers[]"})
    assert content["nodes"]["BinaryConv2d"] == len(content["layers"]) > 0
    metadata = read_metadata(target)
    assert (metadata.mean, metadata.std, metadata.class_names) == ((0.5,), (0.25,), tuple("abcdefghij"))
    assert cli("inspect", target).code == 0
    outcome = cli("export", source, "-o", target, "--explain")
    assert "binary layers, " in outcome.out
    assert "fused: " in outcome.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ("neither a checkpoint nor a QONNX model",)),
        (
            ["--arch", "digits/resnet8_1w1a", "--no-simplify"],
            ("takes no --arch and no --no-simplify",),
        ),
    ],
)
def test_bad_sources(options: list[str], words: tuple[str, ...], cli: Callable, tmp_path: Path) -> None:
    outcome = cli("export", EMBEDDED_MODEL, "-o", tmp_path / "model.onnx", *options)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert not list(tmp_path.iterdir())


def test_the_source_is_not_overwritten(cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    assert cli("export", checkpoint, "--format", "qonnx", "-o", source).code == 0
    content = source.read_bytes()
    outcome = cli("export", source, "-o", source)
    assert outcome.code == 2
    assert "QONNX file itself" in outcome.err
    assert source.read_bytes() == content
