"""The model that comes with the package, and what its card says of it."""

import io
import math
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.paths import SHARED

import rbnn_deploy
from rbnn_deploy.data import preprocessing_of
from rbnn_deploy.inspecting import format_bytes
from rbnn_deploy.models import EMBEDDED_MODEL

CARD = EMBEDDED_MODEL.with_name("README.md")
CIFAR = SHARED / "data" / "cifar10_jpeg.tar.gz"
IMAGES_PER_CLASS = 50


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_run_takes_it_where_no_model_is_named(cli: Callable, image: Path) -> None:
    outcome = cli("run", image, image)
    assert outcome.code == 0, outcome.err
    assert EMBEDDED_MODEL.stem in outcome.err
    assert outcome.out == cli("run", EMBEDDED_MODEL, image, image).out
    assert outcome.out.count("%") == 10


def test_run_wants_an_image(cli: Callable) -> None:
    outcome = cli("run", EMBEDDED_MODEL)
    assert outcome.code == 2
    assert "no image" in outcome.err


def test_it_is_small_and_the_same_in_every_runtime() -> None:
    assert EMBEDDED_MODEL.stat().st_size < 100_000
    model = rbnn_deploy.load_model(EMBEDDED_MODEL)
    assert model.metadata is not None
    assert model.metadata.architecture == "cifar10/resnet20_react_1w1a"
    x = np.random.default_rng(1).standard_normal((4, 3, 32, 32), np.float32)
    logits = model.run(x)
    for runtime in ("ort-portable", "numpy"):
        other = rbnn_deploy.load_model(EMBEDDED_MODEL, runtime=runtime).run(x)
        # Float stem and head are summed in another order; no activation of these inputs is on a threshold.
        np.testing.assert_allclose(other, logits, rtol=0, atol=1e-3)


def test_the_card_states_its_size() -> None:
    assert f"| size | {format_bytes(EMBEDDED_MODEL.stat().st_size)} |" in CARD.read_text()


@pytest.mark.skipif(not CIFAR.exists(), reason="needs the CIFAR-10 images")
def test_the_card_states_its_accuracy() -> None:
    stated = re.search(r"test accuracy: ([\d.]+) %", CARD.read_text())
    assert stated is not None
    model = rbnn_deploy.load_model(EMBEDDED_MODEL)
    assert model.metadata is not None
    assert model.metadata.class_names is not None
    prepare = preprocessing_of(model.metadata)
    inputs, labels = [], []
    with tarfile.open(CIFAR) as archive:
        for member in archive:
            if not (found := re.fullmatch(r"(?:\./)?test/(\w+)/(\d+)\.jpg", member.name)):
                continue
            if int(found[2]) < IMAGES_PER_CLASS:
                file = archive.extractfile(member)
                assert file is not None
                inputs.append(prepare(np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))))
                labels.append(model.metadata.class_names.index(found[1]))
    assert len(labels) == 10 * IMAGES_PER_CLASS
    accuracy = float(np.mean(model.run(np.stack(inputs)).argmax(1) == labels))
    expected = float(stated[1]) / 100
    # Four standard deviations of a share of that many images.
    assert abs(accuracy - expected) < 4 * math.sqrt(expected * (1 - expected) / len(labels))
