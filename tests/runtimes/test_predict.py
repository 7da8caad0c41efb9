"""Images in, names and probabilities out: `load_model(...).predict(...)`."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from support.small_models import small_model, write_small_model

import rbnn_deploy
from rbnn_deploy.classes import CIFAR10
from rbnn_deploy.data import preprocessing_of
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import PREFIX
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.runtimes import RUNTIMES, Runtime


def pixels(count: int, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def embedded() -> Runtime:
    return rbnn_deploy.load_model(threads=1)


def test_the_embedded_model_is_loaded_without_a_path(embedded: Runtime) -> None:
    assert embedded.path == EMBEDDED_MODEL
    for runtime in RUNTIMES:
        assert rbnn_deploy.load_model(runtime=runtime).name == runtime


@pytest.mark.parametrize("count", [1, 40])
def test_predictions_are_those_of_the_logits(embedded: Runtime, count: int) -> None:
    x = pixels(count)
    assert embedded.metadata is not None
    prepare = preprocessing_of(embedded.metadata)
    logits = embedded.run(np.stack([prepare(image) for image in x]))
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    found = embedded.predict(x, top=3)
    assert [prediction.image for prediction in found] == [f"image {i}" for i in range(count)]
    for prediction, row in zip(found, shares, strict=True):
        best = np.argsort(-row, kind="stable")[:3]
        assert [entry.name for entry in prediction.classes] == [CIFAR10[i] for i in best]
        assert (prediction.name, prediction.probability) == (
            CIFAR10[best[0]],
            prediction.classes[0].probability,
        )
        # Batches of 16 and of 40 may add float products in another order.
        np.testing.assert_allclose([e.probability for e in prediction.classes], row[best], atol=1e-4)


def test_every_form_of_an_image_gives_the_same(embedded: Runtime, tmp_path: Path) -> None:
    one, two = pixels(1, 50, 40)[0], pixels(1, 33, 60, seed=1)[0]
    names = [tmp_path / "1.png", tmp_path / "2.png"]
    for name, image in zip(names, (one, two), strict=True):
        Image.fromarray(image).save(name)
    wanted = [prediction.classes for prediction in embedded.predict([one, two])]
    forms: list[Any] = [
        [one[None], two[None]],
        (Image.fromarray(one), Image.fromarray(two)),
        [names[0], str(names[1])],
        tmp_path,
        str(tmp_path / "*.png"),
        (image for image in (one, names[1])),
    ]
    for form in forms:
        assert [prediction.classes for prediction in embedded.predict(form)] == wanted
    assert [prediction.image for prediction in embedded.predict(tmp_path)] == list(map(str, names))
    assert embedded.predict(one)[0].classes == wanted[0]


def test_a_pillow_image_is_turned_upright_as_its_file_is(embedded: Runtime, tmp_path: Path) -> None:
    image = Image.fromarray(pixels(1, 48, 64)[0])
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert embedded.predict(opened)[0].classes == embedded.predict(tmp_path / "turned.png")[0].classes
        assert opened.size == (64, 48)  # the caller's image is as it was


def test_given_names_replace_the_models(embedded: Runtime) -> None:
    labels = [*"abcdefghij"]
    (found,) = embedded.predict(pixels(1), top=99, labels=labels)
    assert sorted(entry.name for entry in found.classes) == labels


class Tensor:
    """What torch's tensors look like to NumPy."""

    def __array__(self) -> np.ndarray:
        return pixels(1)

    def __iter__(self) -> Any:
        yield from pixels(1)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (
            np.zeros((1, 3, 32, 32), np.float32),
            {},
            r"uint8 arrays \[N, H, W, C\].*not float32.*run\(\.\.\.\)",
        ),
        (np.zeros((1, 3, 32, 32), np.uint8), {}, "put the channels last"),
        (np.zeros((1, 0, 32, 3), np.uint8), {}, "no image"),
        (np.zeros(5, np.uint8), {}, "no image"),
        ([], {}, "no image to classify"),
        (np.zeros((0, 32, 32, 3), np.uint8), {}, "no image to classify"),
        (7, {}, "of type int"),
        (b"PNG", {}, "of type bytes"),
        (Tensor(), {}, "of type Tensor"),
        ("nothing.png", {}, "does not exist"),
        ("-", {}, "standard input"),
        (Image.new("I;16", (4, 4)), {}, "more than 8 bits"),
        (pixels(1), {"top": 0}, "at least 1 class"),
        (pixels(1), {"top": 1.5}, "at least 1 class"),
        (pixels(1), {"labels": ["one"]}, "1 labels for 10 classes"),
    ],
)
def test_wrong_use(embedded: Runtime, images: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        embedded.predict(images, **options)


def test_a_model_without_metadata_does_not_guess(tmp_path: Path) -> None:
    model = rbnn_deploy.load_model(write_small_model(tmp_path, metadata=False))
    with pytest.raises(UserError, match="does not say how images become its input"):
        model.predict(pixels(1))


def test_missing_normalisation_is_said(tmp_path: Path) -> None:
    model = small_model()
    kept = [entry for entry in model.metadata_props if entry.key not in (f"{PREFIX}mean", f"{PREFIX}std")]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.warns(UserWarning, match="has no mean and std, so images are scaled") as found:
        rbnn_deploy.load_model(tmp_path / "model.onnx").predict(pixels(1))
    assert found[0].filename == __file__
