"""`export --format c`: from a model or a checkpoint to C files."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.json_docs import assert_documented

from rbnn_deploy.models import EMBEDDED_MODEL

FILES = ["Makefile", "kernels.h", "model.c", "model.h", "selftest.c", "weights.c", "weights.h"]


@pytest.mark.skipif(not (shutil.which("cc") and shutil.which("make")), reason="there is no C compiler here")
@pytest.mark.parametrize("source", ["model", "checkpoint"])
def test_the_self_test_of_what_was_written_passes(
    source: str, cli: Callable, checkpoint: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model"
    outcome = cli(
        "export", EMBEDDED_MODEL if source == "model" else checkpoint, "--format", "c", "-o", target
    )
    assert outcome.code == 0, outcome.err
    assert "memory of all layers: " in outcome.out
    assert "static" in outcome.out
    assert sorted(path.name for path in target.iterdir()) == FILES
    done = subprocess.run(["make", "-s", "check"], cwd=target, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "10 of 10 outputs are equal\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "java"], ("'java'", "onnx, c")),
        (["--format", "c", "--float-layers", "int8"], ("--float-layers",)),
        (["--format", "c", "--json", "model/result.json"], ("in the folder that the export replaces",)),
        (["--format", "c", "--json", "nowhere/result.json"], ("nowhere",)),
        (["--format", "c", "--arch", "digits/resnet8_1w1a"], ("deployed model",)),
    ],
)
def test_bad_use(
    options: list[str], words: tuple[str, ...], cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("export", EMBEDDED_MODEL, "-o", tmp_path / "model", *options)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert not list(tmp_path.iterdir())


def test_the_result_as_json(cli: Callable, tmp_path: Path) -> None:
    outcome = cli("export", EMBEDDED_MODEL, "--format", "c", "-o", tmp_path / "model", "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert_documented(content)
    assert content["files"] == FILES
    assert (content["input_shape"], content["outputs"]) == ([3, 32, 32], 10)
    text = cli(
        *("export", EMBEDDED_MODEL, "--format", "c", "-o", tmp_path / "model"),
        *("--json", tmp_path / "result.json"),
    ).out
    assert f"layers: {content['calls']} calls" in text
    assert json.loads((tmp_path / "result.json").read_text()) == content
    arrays = re.findall(r"\[(\d+)\];", (tmp_path / "model" / "weights.h").read_text())
    assert content["weights"] == 4 * sum(map(int, arrays))
    assert content["image_memory"] == 4 * 3 * 32 * 32
    arenas = re.findall(
        r"^static \w+ \w+\[(\d+)\]", (tmp_path / "model" / "model.c").read_text(), re.MULTILINE
    )
    assert content["memory"] == 4 * sum(map(int, arenas))


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_a_file_that_is_no_model(content: bytes, cli: Callable, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(content)
    outcome = cli("export", source, "--format", "c", "-o", tmp_path / "c")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
