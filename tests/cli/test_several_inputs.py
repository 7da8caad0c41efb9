"""Networks of several inputs and outputs, from a checkpoint to comparisons, on the command line."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import rbnn_deploy
from rbnn_deploy.pytorch.networks.own import build_own_network

pytest.importorskip("onnxscript")
SOURCE = """
import torch
from torch import nn
import rbnn_deploy

class Driver(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.words, self.speed = nn.Conv2d(3, 16, 3, 2, 1), nn.Embedding(9, 16), nn.Linear(4, 16)
        self.layer = rbnn_deploy.RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.depth, self.steer = nn.Conv2d(16, 1, 1), nn.Linear(16, 2)

    def forward(self, image, speeds, words):
        x = self.layer(self.stem(image))
        y = x.mean((2, 3)) + self.speed(speeds) + self.words(words).mean(1)
        return {"depth": self.depth(x), "steer": self.steer(y)}
"""
MODULE = "rbnn_users_drivers.nets:Driver"
SHAPES = ("--input-shape", "image=3,16,12", "--input-shape", "speeds=4", "--input-shape", "words=5:int64")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "rbnn_users_drivers"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    torch.manual_seed(0)
    torch.save(build_own_network(MODULE).state_dict(), "my.pt")
    yield tmp_path / "my.pt"
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def test_from_the_checkpoint_to_every_command(own: Path, cli: Callable, tmp_path: Path) -> None:
    outcome = cli("inspect", own, "--module", MODULE, *SHAPES)
    assert outcome.code == 0, outcome.err
    assert "image: float32 [N, 3, 16, 12]" in outcome.out
    outcome = cli("export", own, "--module", MODULE, *SHAPES, "-o", "m.onnx", "--output-names", "far,turn")
    assert outcome.code == 0, outcome.err
    assert "mean and std" not in outcome.err
    outcome = cli("inspect", "m.onnx")
    assert outcome.code == 0, outcome.err
    assert "words: int64 [N, 5]" in " ".join(outcome.out.split())
    assert "turn: float32 [N, 2]" in " ".join(outcome.out.split())
    rng = np.random.default_rng(0)
    arrays = {
        "speeds": rng.random((70, 4), np.float32),
        "image": rng.random((70, 3, 16, 12), np.float32),
        "words": rng.integers(0, 9, (70, 5)),
    }
    np.savez("x.npz", **arrays)
    compare = ("compare", "m.onnx", "--checkpoint", own, "--module", MODULE, "--layers", "--json", "c.json")
    for options, samples in (
        (("--inputs", "x.npz"), 70),
        (("--random", 5), 5),
    ):
        outcome = cli(*compare, *options)
        assert outcome.code == 0, outcome.err
        assert "All runtimes agree" in outcome.out
        found = json.loads(Path("c.json").read_text())
        assert found["samples"] == samples
        assert len(found["pairs"]) == 6
        for pair in found["pairs"]:
            assert [output["name"] for output in pair["outputs"]] == ["far", "turn"]
    outcome = cli("bench", "m.onnx", "--runs", 1, "--batch", 2)
    assert outcome.code == 0, outcome.err
    outcome = cli("report", "c.json", "-o", "r.html")
    assert outcome.code == 0, outcome.err
    page = Path("r.html").read_text()
    assert "Each output by itself" in page
    assert page.count(">turn<") == 6


def test_a_network_whose_only_input_is_no_image(own: Path, cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "rbnn_users_drivers" / "rows.py").write_text(
        SOURCE
        + """
class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = rbnn_deploy.RotatedBinaryConv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return self.layer(x.reshape(-1, 8, 2, 2)).mean((2, 3))
"""
    )
    name = "rbnn_users_drivers.rows:Rows"
    torch.save(build_own_network(name).state_dict(), "rows.pt")
    outcome = cli("export", "rows.pt", "--module", name, "--input-shape", "32", "-o", "rows.onnx")
    assert outcome.code == 0, outcome.err
    np.save("rows.npy", np.random.default_rng(0).random((9, 32), np.float32))
    outcome = cli("compare", "rows.onnx", "--checkpoint", "rows.pt", "--module", name, "--inputs", "rows.npy")
    assert outcome.code == 0, outcome.err
    assert "Logits of 9 samples" in outcome.out
    assert rbnn_deploy.load_model("rows.onnx").metadata.num_classes == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--input-shape", "image=3,16,12", "--input-shape", "4"), "each with its name"),
        (("--input-shape", "image=3,a"), "give sizes such as"),
        (("--input-shape", "a=4", "--input-shape", "a=4"), "names the input a twice"),
        (("--input-shape", "a=4:float16"), "a is float16, and models take"),
        (("--input-shape", "a=0"), "cannot have the sizes"),
        (("--input-shape", "image=3,16,12", "--input-shape", "speeds=4"), "cannot take image, speeds"),
        ((*SHAPES, "--output-names", "a"), r"1 names for 2 outputs (depth, steer)"),
        ((*SHAPES, "--output-names", "a,words"), "are called words"),
        ((*SHAPES, "--mean", "0.5"), "mean is of images"),
        ((*SHAPES, "--format", "c"), "must have one input and one output"),
        ((*SHAPES, "--format", "qonnx"), "QONNX is written for networks of one image"),
        ((*SHAPES, "--format", "c", "--output-names", "a,b"), "--format c takes no --output-names"),
        ((*SHAPES, "--float-layers", "int8", "--calibration", "digits"), "takes no images, by which int8"),
        ((), "does not tell its input's shape"),
    ],
)
def test_what_export_refuses(options: tuple, message: str, own: Path, cli: Callable, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    outcome = cli("export", own, "--module", MODULE, *options, "-o", "m.onnx")
    assert outcome.code == 2, outcome.out
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_other_commands_refuse(own: Path, cli: Callable, tmp_path: Path) -> None:
    assert cli("export", own, "--module", MODULE, *SHAPES, "-o", "m.onnx").code == 0
    Image.new("RGB", (8, 8)).save("a.png")
    np.savez("x.npz", image=np.zeros((2, 3, 16, 12), np.float32), speeds=np.zeros((2, 4)))
    for command, message in (
        (("run", "m.onnx", "a.png"), "m.onnx is no image classifier, since it maps image: float32"),
        (("eval", "m.onnx", "--data", "digits"), "m.onnx is no image classifier"),
        (("compare", "m.onnx", "--data", "digits"), "does not take one image"),
        (("compare", "m.onnx", "--inputs", "x.npz"), "x.npz holds image, speeds, and not words"),
        (("compare", "m.onnx", "--inputs", "y.npz"), "y.npz does not exist"),
        (("export", "m.onnx", "--format", "c", "-o", "c"), "must have one input and one output"),
    ):
        outcome = cli(*command)
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err


def test_images_through_a_network_of_two_outputs(own: Path, image_folder: Path, cli: Callable) -> None:
    (own.parent / "rbnn_users_drivers" / "heads.py").write_text(
        SOURCE
        + """
class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3)
        self.layer = rbnn_deploy.RotatedBinaryConv2d(8, 10, 3, padding=1)

    def forward(self, x):
        x = self.layer(self.stem(x))
        return x.mean((2, 3)), x
"""
    )
    name = "rbnn_users_drivers.heads:Heads"
    torch.save(build_own_network(name).state_dict(), "h.pt")
    facts = ("--mean", "0.5", "--std", "0.5")
    assert cli("export", "h.pt", "--module", name, "--input-shape", "1,8,8", *facts, "-o", "h.onnx").code == 0
    outcome = cli("compare", "h.onnx", "--checkpoint", "h.pt", "--module", name, "--data", image_folder)
    assert outcome.code == 0, outcome.err
    assert "no accuracy, because h.onnx has several outputs" in outcome.err
    assert "All runtimes agree" in outcome.out
    outcome = cli("run", "h.onnx", image_folder)
    assert outcome.code == 2
    assert "-> output_0: float32 [N, 10], output_1: float32 [N, 10, 6, 6]" in outcome.err
