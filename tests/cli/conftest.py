"""Runs the command line in this process, and provides one small checkpoint and its model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.networks import randomise

from rbnn_deploy.cli import main
from rbnn_deploy.pytorch.checkpoints.checkpoint import save_checkpoint
from rbnn_deploy.pytorch.networks import build_network

ARCHITECTURE = "digits/resnet8_1w1a"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(exit_info.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pth.tar"
    network = randomise(build_network(ARCHITECTURE), seed=1)
    save_checkpoint(
        path,
        network,
        ARCHITECTURE,
        epoch=1,
        best_accuracy=10.0,
        mean=(0.5,),
        std=(0.5,),
        class_names=[*"abcdefghij"],
    )
    return path


@pytest.fixture(scope="session")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    with pytest.raises(SystemExit) as exit_info:
        main(["export", str(checkpoint), "-o", str(path)])
    assert exit_info.value.code == 0
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in "abcdefghij":
        folder = root / "test" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{i}.png")
    return root
