"""What a model says about itself comes back whole, or, from a damaged file, not at all."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import PREFIX, ModelMetadata

WHOLE = ModelMetadata(
    architecture="cifar10/resnet20_1w1a",
    input_shape=(3, 32, 32),
    num_classes=2,
    mean=(0.5, 0, -0.25),
    std=(0.25, 1, 2.0),
    resize=36,
    class_names=("cat", "dog"),
    checkpoint_sha256="ab" * 32,
    version="0.1.0",
)


@pytest.mark.parametrize(
    "metadata",
    [
        WHOLE,
        ModelMetadata("net", (1, 1, 1)),
        ModelMetadata("net", (3, 224, 224), class_names=("a",)),
        ModelMetadata("net", (1, 8192, 8192), num_classes=1000),
    ],
)
def test_metadata_comes_back(metadata: ModelMetadata) -> None:
    assert ModelMetadata.from_properties(metadata.to_properties()) == metadata


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_shape", {}),
        ("input_shape", 3),
        ("input_shape", "abc"),
        ("input_shape", [3, 32]),
        ("input_shape", [3, 32, 32.0]),
        ("input_shape", [3, 32, 0]),
        ("input_shape", [3, 32, -32]),
        ("input_shape", [True, 32, 32]),
        ("input_shape", [3, 32, 65537]),
        ("input_shape", [3, 65536, 65536]),
        ("input_shape", [1, 32, 32]),  # mean and std are of three channels
        ("num_classes", 0),
        ("num_classes", 2.0),
        ("num_classes", True),
        ("num_classes", 3),  # there are two names
        ("num_classes", {"a": 1}),
        ("mean", 0.5),
        ("mean", [0.5]),
        ("mean", [0.5, 0.5, None]),
        ("mean", [0.5, 0.5, float("nan")]),
        ("mean", [0.5, 0.5, 1e300]),
        ("mean", [0.5, 0.5, 10**400]),
        ("std", [0.5, 0.5, 0]),
        ("std", [0.5, 0.5, -1.0]),
        ("std", [0.5, 0.5, 1e-60]),  # 0 in float32
        ("std", [0.5, 0.5, float("inf")]),
        ("std", "abc"),
        ("resize", 0),
        ("resize", 10**9),
        ("resize", "36"),
        ("class_names", []),
        ("class_names", ["cat"]),
        ("class_names", ["cat", 1]),
        ("class_names", ["cat", "dog", "ox"]),
        ("class_names", "ab"),
        ("class_names", {"cat": 0, "dog": 1}),
    ],
)
def test_damaged_metadata_is_none(name: str, value: Any) -> None:
    properties = WHOLE.to_properties() | {PREFIX + name: json.dumps(value)}
    assert ModelMetadata.from_properties(properties) is None


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 5000])
def test_text_that_is_no_json_is_none(text: str) -> None:
    assert ModelMetadata.from_properties(WHOLE.to_properties() | {PREFIX + "resize": text}) is None


def test_a_model_of_others_has_none() -> None:
    assert ModelMetadata.from_properties({"author": "somebody"}) is None


def test_lists_arrays_and_integers_are_taken() -> None:
    given = replace(
        WHOLE,
        input_shape=[3, 32, 32],
        mean=np.float32([0.5, 0, -0.25]),
        std=[0.25, 1, 2],
        class_names=["cat", "dog"],
    )
    assert given.checked() == WHOLE.checked() == WHOLE
    assert type(given.checked().std[1]) is float


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mean", (float("nan"), 0.5, 0.5), "mean must be finite numbers, one for each of the 3 channels"),
        ("mean", (0.5,), "mean must be finite numbers, one for each of the 3 channels"),
        ("mean", "abc", "mean must be finite numbers"),
        ("std", (0.5, 0, 0.5), "std must be above 0"),
        ("std", (0.5, -0.5, 0.5), "std must be above 0"),
        ("std", np.array([0.5, 0.5]), "std must be finite numbers"),
        ("resize", 10**9, "resize must be an integer from 1 to 65536"),
        ("num_classes", 3, "class_names must be 3 strings"),
        ("class_names", ("cat",), "class_names must be 2 strings"),
        ("class_names", "ab", "class_names must be 2 strings"),
        ("class_names", ("cat", "\x1b[2Jdog"), "names that a terminal can show"),
        ("class_names", ("cat", ""), "names that a terminal can show"),
        ("input_shape", (3, 65536, 65536), "input_shape has more than"),
        ("architecture", None, "architecture must be a name"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(name: str, value: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        replace(WHOLE, **{name: value}).checked()
