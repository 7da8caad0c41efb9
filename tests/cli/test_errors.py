"""Bad input: one sentence, exit code 2, no traceback, nothing half-written."""

import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from rbnn_deploy.operators import BINARY_CONV2D


class RunsCode:
    """A pickle of this would create a file named after it when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def state_of(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, weights_only=True)


def assert_refused(outcome: Any, *words: str) -> None:
    assert outcome.code == 2, outcome.out + outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert "internal error" not in outcome.err
    for word in words:
        assert word in outcome.err


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "model.onnx"


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "truncated", "code", "list"])
def test_files_that_are_no_checkpoint(
    kind: str, cli: Callable, checkpoint: Path, target: Path, tmp_path: Path
) -> None:
    file = tmp_path / "input.pth.tar"
    trap = tmp_path / "trap"
    if kind == "folder":
        file.mkdir()
    elif kind == "empty":
        file.touch()
    elif kind == "text":
        file.write_text("not a checkpoint\n" * 50)
    elif kind == "truncated":
        file.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    elif kind == "code":
        torch.save({"state_dict": RunsCode(trap)}, file)
    elif kind == "list":
        torch.save([1, 2, 3], file)
    assert_refused(cli("export", file, "-o", target), str(file))
    assert not trap.exists()
    assert list(target.parent.iterdir()) == []


def test_bare_pickle_that_runs_code(cli: Callable, target: Path, tmp_path: Path) -> None:
    file, trap = tmp_path / "input.pth", tmp_path / "trap"
    file.write_bytes(pickle.dumps(RunsCode(trap)))
    assert_refused(cli("export", file, "-o", target))
    assert not trap.exists()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda s: s.pop("linear.bias"), "linear.bias"),
        (lambda s: s.update({"conv1.weight": torch.zeros(3, 1, 3, 3)}), "conv1.weight"),
        (lambda s: s.update({"unheard.of": torch.zeros(1)}), "unheard.of"),
        (lambda s: s["layer1.conv1.weight"].fill_(float("nan")), "layer1.conv1.weight"),
    ],
    ids=["missing-key", "wrong-shape", "unexpected-key", "not-finite"],
)
def test_damaged_state_dicts(
    damage: Callable, word: str, cli: Callable, checkpoint: Path, target: Path, tmp_path: Path
) -> None:
    content = state_of(checkpoint)
    damage(content["state_dict"])
    file = tmp_path / "damaged.pth.tar"
    torch.save(content, file)
    assert_refused(cli("export", file, "-o", target), word)
    assert list(target.parent.iterdir()) == []


def test_unknown_architecture(cli: Callable, checkpoint: Path, target: Path) -> None:
    assert_refused(
        cli("export", checkpoint, "-o", target, "--arch", "cifar10/alexnet"), "cifar10/alexnet", "choose"
    )


@pytest.mark.parametrize("opset", [17, 99])
def test_impossible_opset(opset: int, cli: Callable, checkpoint: Path, target: Path) -> None:
    assert_refused(cli("export", checkpoint, "-o", target, "--opset", opset), f"opset {opset}")


@pytest.mark.parametrize("place", ["missing/model.onnx", "."])
def test_target_that_cannot_be_written(place: str, cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    assert_refused(cli("export", checkpoint, "-o", tmp_path / place), "cannot write")
    assert list(tmp_path.iterdir()) == []


def test_read_only_target(cli: Callable, checkpoint: Path) -> None:
    # Even root cannot create files here.
    assert_refused(cli("export", checkpoint, "-o", "/proc/model.onnx"), "cannot write")


def test_full_disk_leaves_the_old_file_whole(checkpoint: Path, target: Path) -> None:
    target.write_bytes(b"old")

    def limit() -> None:
        # Writing past this size fails as on a full disk, with another errno.
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run(
        [sys.executable, "-m", "rbnn_deploy", "export", str(checkpoint), "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("command", ["inspect", "run"])
@pytest.mark.parametrize("kind", ["missing", "text", "empty", "truncated"])
def test_files_that_are_no_model(
    command: str, kind: str, cli: Callable, model: Path, image_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "broken.onnx"
    if kind == "text":
        file.write_text("not a model\n" * 50)
    elif kind == "empty":
        file.touch()
    elif kind == "truncated":
        file.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    image = next(image_folder.rglob("*.png"))
    assert_refused(cli(command, file, *([image] if command == "run" else [])), str(file))


@pytest.mark.parametrize("runtime", ["ort", "numpy"])
def test_weights_of_the_wrong_size(
    runtime: str, cli: Callable, model: Path, image_folder: Path, tmp_path: Path
) -> None:
    proto = onnx.load(model)
    name = next(node for node in proto.graph.node if node.op_type == BINARY_CONV2D).input[1]
    tensor = next(t for t in proto.graph.initializer if t.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)[..., :-1].copy(), name))
    file = tmp_path / "wrong.onnx"
    file.write_bytes(proto.SerializeToString())
    image = next(image_folder.rglob("*.png"))
    assert_refused(cli("run", file, image, "--runtime", runtime), "W")


def test_unknown_runtime(cli: Callable, model: Path, image_folder: Path) -> None:
    assert_refused(cli("run", model, next(image_folder.rglob("*.png")), "--runtime", "tensorrt"), "tensorrt")


@pytest.mark.parametrize("kind", ["missing", "text"])
def test_images_that_are_none(kind: str, cli: Callable, model: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    if kind == "text":
        image.write_text("no image")
    assert_refused(cli("run", model, image), str(image))


def test_folder_without_images(cli: Callable, model: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert_refused(cli("compare", model, "--checkpoint", checkpoint, "--data", tmp_path), str(tmp_path))


def test_debug_shows_the_traceback(cli: Callable, target: Path) -> None:
    outcome = cli("export", "missing.pth", "-o", target, "--debug")
    assert outcome.code == 2
    assert "Traceback" in outcome.err


def test_wrong_usage(cli: Callable) -> None:
    assert cli("export").code == 2
    assert cli("nonsense").code == 2
    assert cli("--help").code == 0
    assert cli("--version").code == 0


def test_internal_error_says_so(
    cli: Callable, checkpoint: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbnn_deploy.api.export", lambda *_, **__: np.zeros(2).reshape(3))
    outcome = cli("export", checkpoint, "-o", target)
    assert outcome.code == 2
    assert "internal error, ValueError" in outcome.err
    assert "--debug" in outcome.err
