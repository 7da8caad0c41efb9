"""Every command of every page runs, in the order of the page, on files of the names that the page uses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from support.cifar import write_archive
from support.documents import blocks, commands, pages
from support.networks import randomise
from support.paths import ROOT
from support.reference_checkpoint import draw_state, write_checkpoint

from rbnn_deploy.cli.app import app
from rbnn_deploy.data.cifar import VERSIONS
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.pytorch.networks import OTHER_METHODS

# A reader's command takes minutes or days; these additions leave all of it but the repetitions.
SHORTER = {
    "train": ["--epochs", "1", "--batch-size", "8"],
    "bench": ["--runs", "2"],
    "compare": ["--samples", "8"],
}
# Commands that a test cannot run, each with the reason. Their arguments are checked where we define them.
ELSEWHERE = {
    "scp": "needs a second machine",
    "pip": "installs from a registry; tests/wheels installs what the project builds",
    "python3": "makes a virtual environment on another machine",
    ".": "activates an environment",
    "git": "needs a network",
    "cmake": "builds for minutes; tests/native, tests/aarch64 and tests/examples build the same targets",
    "ctest": "belongs to cmake",
    "torchrun": "needs several GPUs or machines; tests/pytorch/training starts several processes",
    "qemu-aarch64-static": "needs an Arm64 root; tests/aarch64 has one where it can",
}
# Pages that a test of their own follows from beginning to end.
FOLLOWED = ["own_networks.md"]  # test_own_networks_page.py
PAGES = [page for page in pages() if commands(page) and page.name not in FOLLOWED]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes the files that pages name: a checkpoint of the reference, data, images and a deployed model."""
    folder = tmp_path_factory.mktemp("files")
    model = "resnet20_bireal_1w1a"
    for name in (f"{model}.pth.tar", "model.pth"):
        write_checkpoint(folder / name, model, draw_state(model, 3), parallel=True)
    torch.manual_seed(3)
    other = randomise(OTHER_METHODS["cifar10/recu_resnet20"].builder(10), seed=3)
    torch.save({"state_dict": other.state_dict()}, folder / "recu_resnet20.th")
    unpacked = folder / "cifar10"
    unpacked.mkdir()
    write_archive(VERSIONS[0], unpacked, folder / "cifar-10-python.tar.gz", per_file=8)
    rng = np.random.default_rng(5)
    for name in ("cat.jpg", "dog.jpg", "image.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(folder / name)
    shutil.copy(EMBEDDED_MODEL, folder / "MODEL.onnx")
    return folder


def test_pages_are_found() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "training.md", "benchmarking.md", "arm.md"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_says_its_language(page: Path) -> None:
    """Else a command could stand in a block that no test reads."""
    assert {block.language for block in blocks(page)} <= {"sh", "python", "text", "c", "cpp", "json", "cmake"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_run(page: Path, files: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    for words in commands(page):
        environment = {}
        while "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            environment[name] = value
        run(words, environment, tmp_path)


def run(words: list[str], environment: dict[str, str], folder: Path) -> None:
    """Runs one command, or checks as much of it as can be checked here."""
    program = words[0]
    if program == "make":
        succeeds(["make", "-n", *words[1:]], ROOT)
    elif program == "rbnn-deploy" and "--host" in words:  # needs a second machine, as scp does
        parses(words[1:])
    elif program == "rbnn-deploy":
        shorter = [] if words[1] == "compare" and "--data" not in words else SHORTER.get(words[1], [])
        command = [sys.executable, "-m", "rbnn_deploy", *words[1:], *shorter]
        succeeds(command, folder, environment)
    elif program == "python" and words[1] == "-c":
        succeeds([sys.executable, *words[1:]], folder, environment)
    elif program == "python":  # a benchmark or a tool, which takes minutes
        succeeds(
            [sys.executable, words[1], *(word for word in words[2:] if word.startswith("-")), "--help"], ROOT
        )
    elif program.startswith((".ci/", "build/")):
        assert program.startswith("build/") or os.access(ROOT / program, os.X_OK)
    else:
        assert program in ELSEWHERE, f"no test runs {program!r}"
        if "rbnn_deploy" in words:
            parses(words[words.index("rbnn_deploy") + 1 :])


def succeeds(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Runs a command; its output is the message if it fails."""
    result = subprocess.run(
        command, cwd=folder, env=os.environ | (environment or {}), text=True, capture_output=True, check=False
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"


def parses(words: list[str]) -> None:
    """Checks that a command of ours has the options that a line names; `...` stands for more of them."""
    command = typer.main.get_group(app).commands[words[0]]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
