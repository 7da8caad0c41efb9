"""`export --format web`: from a model or a checkpoint to a page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.json_docs import assert_documented
from support.web import needs_zig

from rbnn_deploy.models import EMBEDDED_MODEL

FILES = ["index.html", "model.mjs", "model.wasm", "offline.js"]


@needs_zig
@pytest.mark.parametrize("source", ["model", "checkpoint"])
def test_the_files_of_a_page(source: str, cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    given = EMBEDDED_MODEL if source == "model" else checkpoint
    outcome = cli("export", given, "--format", "web", "-o", target)
    assert outcome.code == 0, outcome.err
    assert f"open {target / 'index.html'} in a browser" in outcome.out
    assert sorted(path.name for path in target.iterdir()) == FILES
    assert (target / "model.wasm").read_bytes().startswith(b"\0asm")
    assert [path.name for path in tmp_path.iterdir() if path != checkpoint] == ["site"]


@needs_zig
def test_the_result_as_json(cli: Callable, tmp_path: Path) -> None:
    target = tmp_path / "site"
    outcome = cli("export", EMBEDDED_MODEL, "--format", "web", "-o", target, "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert_documented(content)
    assert content["files"] == FILES
    assert (content["input_shape"], content["outputs"]) == ([3, 32, 32], 10)
    assert content["module"] == (target / "model.wasm").stat().st_size
    assert content["page"] == (target / "index.html").stat().st_size


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "web", "--float-layers", "int8"], ("--float-layers",)),
        (["--format", "web", "--json", "site/result.json"], ("in the folder that the export replaces",)),
        (["--format", "web", "--arch", "digits/resnet8_1w1a"], ("deployed model",)),
        (["--format", "web", "--mean", "0.5"], ("deployed model", "--mean")),
        (["--format", "c", "--onnxruntime-web", "dist"], ("--onnxruntime-web", "--format web")),
    ],
)
def test_bad_use(
    options: list[str], words: tuple[str, ...], cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("export", EMBEDDED_MODEL, "-o", tmp_path / "site", *options)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert not list(tmp_path.iterdir())
