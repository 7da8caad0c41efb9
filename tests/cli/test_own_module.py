"""Commands that take a checkpoint take one of a user's own network, with --module."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import rbnn_deploy
from rbnn_deploy.inspecting import read_metadata
from rbnn_deploy.pytorch.networks.own import build_own_network

pytest.importorskip("onnxscript")
SOURCE = """
import torch
from torch import nn
import rbnn_deploy

def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), rbnn_deploy.RotatedBinaryConv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )
"""
MODULE = "rbnn_users_networks.nets:build"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives a checkpoint of a user's network, whose package is in the current folder."""
    package = tmp_path / "rbnn_users_networks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    torch.manual_seed(0)
    torch.save({"model": build_own_network(MODULE).state_dict()}, "my.pt")
    yield tmp_path / "my.pt"
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def test_export_inspect_compare_and_bench_take_it(own: Path, image_folder: Path, cli: Callable) -> None:
    Path("names.txt").write_text("\n".join("abcdefghij") + "\n")
    facts = ("--mean", "0.5", "--std", "0.25", "--labels", "names.txt")
    outcome = cli("export", own, "--module", MODULE, "--input-shape", "1,8,8", *facts, "-o", "m.onnx")
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines() == [f"note: {own}: the weights were found as model"]
    metadata = read_metadata(Path("m.onnx"))
    assert (metadata.mean, metadata.std, metadata.input_shape) == ((0.5,), (0.25,), (1, 8, 8))
    assert metadata.class_names == tuple("abcdefghij")
    assert metadata.architecture == "Sequential"
    assert metadata.checkpoint_sha256 is not None
    outcome = cli("inspect", own, "--module", MODULE, "--input-shape", "1x8x8")
    assert outcome.code == 0
    assert "2      binary  RotatedBinaryConv2d 3x3" in outcome.out
    outcome = cli("compare", "m.onnx", "--checkpoint", own, "--module", MODULE, "--data", image_folder)
    assert outcome.code == 0
    assert "torch / ort " in outcome.out
    assert "accuracy of torch" in outcome.out
    assert cli("bench", "m.onnx", "--runs", 2, "--baseline", "fp32").code == 0


def test_a_file_without_normalisation_is_told(own: Path, cli: Callable) -> None:
    outcome = cli("export", own, "--module", MODULE, "--input-shape", "1,8,8", "-o", "m.onnx", "--no-check")
    assert outcome.code == 0
    assert outcome.err.splitlines()[1:] == [
        "warning: Sequential is exported without mean and std, so images will be scaled to [0, 1] and not "
        "normalised; pass metadata=rbnn_deploy.ModelMetadata(...), or --mean and --std, as it was trained"
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "none of the known networks; for your own network add --module package.module:name"),
        (("--module", MODULE), "does not tell its input's shape.*--input-shape C,H,W"),
        (("--input-shape", "1,8,8"), "--input-shape is for a network of your own"),
        (("--module", MODULE, "--arch", "x", "--input-shape", "1,8,8"), "both name the network"),
        (("--module", MODULE, "--input-shape", "8,8"), r"cannot run on inputs of shape \[8, 8\]"),
        (("--module", MODULE, "--input-shape", "1,8,"), "--input-shape cannot be '1,8,'; give sizes"),
        (("--module", MODULE, "--input-shape", "1,8,-8"), "--input-shape cannot be"),
        (("--module", MODULE, "--input-shape", "3,8,8"), r"cannot run on inputs of shape \[3, 8, 8\]"),
        (("--module", "nowhere:build", "--input-shape", "1,8,8"), "nowhere:build failed with ModuleNotFound"),
        (("--module", MODULE, "--input-shape", "1,8,8", "--mean", "a"), "--mean cannot be 'a'"),
        (
            ("--module", MODULE, "--input-shape", "1,8,8", "--mean", "1,2"),
            "mean must be .* each of the 1 chan",
        ),
        (("--module", MODULE, "--input-shape", "1,8,8", "--std", "0"), "std must be above 0"),
    ],
)
def test_bad_use_is_one_sentence(own: Path, cli: Callable, options: tuple, said: str) -> None:
    outcome = cli("export", own, *options, "-o", "m.onnx")
    assert outcome.code == 2
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert re.search(said, line), line
    assert not Path("m.onnx").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--arch, or your own with --module"),
        (("--module", MODULE, "--arch", "digits/resnet8_1w1a"), "--arch, or your own with --module"),
        (("--arch", "digits/resnet8_1w1a", "--mean", "1"), "--mean and --std are for a network of your own"),
        (("--module", MODULE), "give --input-shape C,H,W"),
        (("--module", "torch.nn:Identity", "--input-shape", "1,8,8"), "returns no row of logits per image"),
    ],
)
def test_train_names_one_network(own: Path, cli: Callable, options: tuple, said: str) -> None:
    pytest.importorskip("sklearn")
    outcome = cli("train", "--dataset", "digits", "--out", "run", *options)
    assert outcome.code == 2
    assert said in outcome.err
    assert not Path("run").exists()


def test_train_writes_what_export_needs(own: Path, cli: Callable) -> None:
    pytest.importorskip("sklearn")
    train = ("train", "--module", MODULE, "--input-shape", "1,8,8", "--mean", "0.25", "--dataset", "digits")
    short = ("--recipe", "short", "--epochs", 1, "--batch-size", 512, "--no-tensorboard", "--out", "run")
    outcome = cli(*train, *short)
    assert outcome.code == 0, outcome.err
    assert f"rbnn-deploy export run/best.pt --module {MODULE} -o run/model.onnx" in outcome.out
    for name in ("best.pt", "best.safetensors"):
        outcome = cli("export", f"run/{name}", "--module", MODULE, "-o", "m.onnx", "--no-check")
        assert (outcome.code, outcome.err) == (0, "")
        metadata = read_metadata(Path("m.onnx"))
        assert (metadata.input_shape, metadata.mean, metadata.std) == ((1, 8, 8), (0.25,), (0.25,))
        assert metadata.class_names == tuple("0123456789")


@pytest.mark.parametrize("option", [("--module", MODULE), ("--arch", "digits/resnet8_1w1a")])
def test_a_network_named_beside_a_model_alone_is_refused(
    own: Path, model: Path, cli: Callable, option: tuple[str, str]
) -> None:
    outcome = cli("inspect", model, *option)
    assert outcome.code == 2
    assert f"{model} is a deployed model, which has its own network" in outcome.err
    outcome = cli("compare", model, "--random", 2, *option)
    assert outcome.code == 2
    assert "name it with --checkpoint" in outcome.err


def test_python_inspects_it_too(own: Path) -> None:
    summary = rbnn_deploy.inspect(own, module=build_own_network(MODULE), input_shape=(1, 8, 8))
    assert [(layer.name, layer.kind) for layer in summary.layers] == [
        ("0", "float"),
        ("2", "binary"),
        ("5", "float"),
    ]
