"""For all tests: randomness that comes again, this host's kernels, a small model, a checkpoint and images.

Nothing imports torch before a fixture needs it: the tests of the device side also run where it is absent.
"""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from support.small_models import write_small_model

from rbnn_deploy.runtimes.library import library_info

# Examples depend on the test's code alone. The first session of a process starts slowly: no example is timed.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seeds the global generators before a test's fixtures, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 -- torch's loaders and scikit-learn may draw from it
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that asks for a `kernel` once for each one; says which of them this host cannot execute."""
    if "kernel" in metafunc.fixturenames:
        kernels = [
            pytest.param(
                kernel["name"],
                marks=pytest.mark.skipif(
                    not kernel["available"],
                    reason=f"this processor cannot execute the kernel {kernel['name']}",
                ),
            )
            for kernel in library_info()["kernels"]
        ]
        metafunc.parametrize("kernel", kernels, indirect=True)


@pytest.fixture
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Forces one kernel of the operator library, by its name."""
    name: str = request.param
    monkeypatch.setenv("RBNN_KERNEL", name)
    return name


@pytest.fixture(scope="session")
def small_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made model of `support.small_models`, in a file."""
    return write_small_model(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the network for handwritten digits, as `train` writes it, with drawn weights."""
    from support.networks import randomise  # noqa: PLC0415 -- these import torch

    from rbnn_deploy.pytorch.checkpoints.checkpoint import save_checkpoint  # noqa: PLC0415
    from rbnn_deploy.pytorch.networks import build_network  # noqa: PLC0415

    architecture = "digits/resnet8_1w1a"
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.pth.tar"
    save_checkpoint(
        path,
        randomise(build_network(architecture), seed=1),
        architecture,
        epoch=1,
        best_accuracy=10.0,
        mean=(0.5,),
        std=(0.5,),
        class_names=[*"abcdefghij"],
    )
    return path


@pytest.fixture(scope="session")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of `checkpoint`."""
    from rbnn_deploy import export  # noqa: PLC0415 -- imports torch

    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export(checkpoint, path)
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey 8 x 8 images of noise, three for each class of `checkpoint`: test/<class>/<number>.png."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in "abcdefghij":
        folder = root / "test" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{i}.png")
    return root
