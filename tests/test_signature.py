"""The one description of what a model takes and returns."""

import numpy as np
import pytest

from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import BATCH_ELEMENTS, Signature, TensorSpec, batches, count_samples

IMAGES = TensorSpec("input", "float32", ("N", 3, 4, 5))


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (("N", 3, 32, 32), "float32 [N, 3, 32, 32]"),
        ((None,) * 4, "float32 [N, C, H, W]"),
        ((None, 3, 32, None), "float32 [N, 3, 32, W]"),
        ((None, None, 7), "float32 [N, ?, 7]"),
        (("n\x1b[2J", 2), "float32 [n\\x1b[2J, 2]"),
        (("N",), "float32 [N]"),
        (None, "float32 of any shape"),
    ],
)
def test_description(shape: tuple | None, text: str) -> None:
    assert TensorSpec("x", "float32", shape).describe() == text


@pytest.mark.parametrize(
    ("x", "fits"),
    [
        (np.zeros((2, 3, 4, 5), np.float32), True),
        (np.zeros((0, 3, 4, 5), np.float32), True),
        (np.zeros((2, 3, 4, 6), np.float32), False),
        (np.zeros((3, 4, 5), np.float32), False),
        (np.zeros((2, 3, 4, 5)), False),
        (np.zeros((2, 3, 4, 5), ">f4"), False),
        ([[[[0.0]]]], False),
    ],
)
def test_what_fits(x: object, fits: bool) -> None:
    assert IMAGES.fits(x) is fits


def test_random_inputs_are_seeded_and_fit() -> None:
    kinds = ("float32", "uint8", "int32", "int64", "bool")
    specs = tuple(TensorSpec(kind, kind, ("N", 40)) for kind in kinds)
    signature = Signature(specs, ())
    first, again = (signature.draw(np.random.default_rng(3), 2) for _ in range(2))
    assert list(first) == list(kinds)
    for spec in specs:
        assert spec.fits(first[spec.name])
        assert np.array_equal(first[spec.name], again[spec.name])
        assert len(np.unique(first[spec.name])) > 1
    # Any table of two rows or more takes these indices.
    assert first["int64"].max() == 1
    assert first["uint8"].max() > 1


def test_random_images_are_as_ever() -> None:
    drawn = IMAGES.draw(np.random.default_rng(3), 2)
    assert np.array_equal(drawn, np.random.default_rng(3).standard_normal((2, 3, 4, 5), np.float32))


def test_open_sizes_are_not_drawn() -> None:
    with pytest.raises(UserError, match=r"input x is float32 \[N, \?, 7\], whose size is open"):
        TensorSpec("x", "float32", (None, None, 7)).draw(np.random.default_rng(0), 1)


def test_batches() -> None:
    feeds = {"a": np.arange(5), "b": np.arange(10).reshape(5, 2)}
    parts = list(batches(feeds, 2))
    assert [count_samples(part) for part in parts] == [2, 2, 1]
    assert all(np.array_equal(np.concatenate([p[name] for p in parts]), feeds[name]) for name in feeds)


def test_batches_of_large_inputs_are_small() -> None:
    def size(*shape: int) -> int:
        return Signature((TensorSpec("x", "float32", ("N", *shape)),) * 2, ()).batch_size(50)

    assert size(3, 32, 32) == 50
    assert size(2, 1024, 1024) == BATCH_ELEMENTS // 2**22 == 4
    assert size(3, 4096, 4096) == 1


def test_names_of_a_file_are_shown_as_text() -> None:
    signature = Signature((TensorSpec("a\x1b[2J" + "b" * 200, "float32", ("N", 1)), IMAGES), ())
    with pytest.raises(UserError) as caught:
        signature.feeds({})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300
