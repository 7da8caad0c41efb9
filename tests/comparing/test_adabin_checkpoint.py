"""AdaBin's published checkpoint of ResNet-20 for CIFAR-10, beside what its own code computed."""

import io
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import other_methods as published
from support.paths import REFERENCE, SHARED, needs_reference

from rbnn_deploy.api import export, load_checkpoint
from rbnn_deploy.comparing import compare
from rbnn_deploy.operators import GENERAL_BINARY_CONV2D
from rbnn_deploy.runtimes import RUNTIMES, load_model

CHECKPOINT = REFERENCE / "adabin_resnet20_1w1a.th"
IMAGES = SHARED / "data" / "cifar10_jpeg.tar.gz"
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

pytestmark = needs_reference


def normalised(images: np.ndarray) -> np.ndarray:
    """Returns float32 [N, 3, 32, 32] of uint8 [N, 32, 32, 3]."""
    x = (images.astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adabin") / "adabin.onnx"
    result = export(CHECKPOINT, path)
    assert result.nodes[GENERAL_BINARY_CONV2D] == 18
    assert result.nodes["Transpose"] == 1
    return path


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "adabin_expected.npz") as data:
        values = {name: data[name] for name in ("images", "labels", "logits")}
    return values | {"x": normalised(values["images"])}


def close(logits: np.ndarray, expected: dict[str, np.ndarray]) -> np.ndarray:
    return np.abs(logits - expected["logits"]).max(axis=1) < 1e-3


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_logits_are_those_of_its_own_code(
    model_path: Path, expected: dict[str, np.ndarray], runtime: str
) -> None:
    logits = load_model(model_path, runtime).run(expected["x"])
    near = close(logits, expected)
    # Its float32 rounding puts one activation or another of some images on the other side of a threshold.
    # The same formulas in float64 differ from it by as much, so nobody could be nearer on all images.
    assert near.sum() >= 60
    assert (logits.argmax(1) == expected["logits"].argmax(1)).sum() >= 63
    state = torch.load(CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"]
    state = {key.removeprefix("module."): value.double() for key, value in state.items()}
    with torch.no_grad():
        exact = published.resnet20(
            state,
            torch.from_numpy(expected["x"]).double(),
            published.adabin,
            published.maxout,
            published.maxout,
        )
    assert close(exact.numpy(), expected).sum() <= near.sum() + 1


def test_every_difference_from_torch_is_explained(model_path: Path, expected: dict[str, np.ndarray]) -> None:
    module = load_checkpoint(CHECKPOINT).module
    report = compare(model_path, module, expected["x"], expected["labels"], layers=True)
    assert report.ok, report.to_text()
    assert len(report.layers) == 18
    assert all(layer.identical for layer in report.layers)
    assert all(pair.top1_agreement >= 63 / 64 for pair in report.pairs)


@pytest.mark.skipif(not IMAGES.exists(), reason="the images (../shared/data) are not here")
def test_accuracy_is_that_of_its_own_code(model_path: Path) -> None:
    """Its own code has 78.9 % on each fifth test image, of a list class by class and file by file."""
    files: dict[str, dict[str, bytes]] = defaultdict(dict)
    with tarfile.open(IMAGES) as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            content = archive.extractfile(member) if "/test/" in f"/{member.name}" else None
            if content is not None:
                files[folder.rpartition("/")[2]][name] = content.read()
    images, labels = [], []
    for label, name in enumerate(sorted(files)):
        for file in sorted(files[name])[::5]:
            images.append(np.asarray(Image.open(io.BytesIO(files[name][file]))))
            labels.append(label)
    assert len(labels) == 2000
    logits = load_model(model_path, threads=1).run(normalised(np.stack(images)))
    accuracy = float((logits.argmax(1) == np.array(labels)).mean())
    assert accuracy == pytest.approx(0.789, abs=0.003)
