"""The most probable classes, their names, and files of names."""

from pathlib import Path

import numpy as np
import pytest

from rbnn_deploy.classes import CIFAR10, check_scores, class_names, read_class_names, top_classes
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata

SHAPE = (3, 32, 32)


def test_the_best_come_first_and_equal_ones_in_their_order() -> None:
    (found,) = top_classes(np.array([[0.0, 2.0, 2.0, 1.0]], np.float32), "abcd", 3)
    assert [entry.name for entry in found] == ["b", "c", "d"]
    whole = np.exp([0.0, 2.0, 2.0, 1.0])
    # Both are float64 sums of four numbers, in another order.
    np.testing.assert_allclose(
        [e.probability for e in found], np.array(whole / whole.sum())[[1, 2, 3]], 1e-15
    )
    assert len(top_classes(np.zeros((1, 2), np.float32), "ab", 9)[0]) == 2


def test_large_logits_do_not_overflow_and_no_numbers_are_none() -> None:
    (found,) = top_classes(np.array([[1e30, 0.0]], np.float32), "ab", 2)
    assert [entry.probability for entry in found] == [1.0, 0.0]
    for logits in ([np.nan, 0.0], [np.inf, 0.0]):
        (found,) = top_classes(np.array([logits], np.float32), "ab", 2)
        assert all(entry.probability is None for entry in found)
        assert sorted(str(entry.logit) for entry in found) == ["0.0", "None"]


@pytest.mark.parametrize(
    "logits", [np.zeros((2, 1), np.float32), np.zeros(2, np.float32), np.zeros((2, 3, 4), np.float32)]
)
def test_outputs_that_are_no_scores(logits: np.ndarray) -> None:
    with pytest.raises(UserError, match="not one score for each"):
        check_scores(logits, Path("m.onnx"))
    with pytest.raises(UserError, match="not one score for each"):
        check_scores(np.zeros((2, 3), np.int64), Path("m.onnx"))


def test_names_given_come_first_then_the_models_then_those_of_the_data_set_then_numbers() -> None:
    cifar = ModelMetadata("cifar10/resnet20_1w1a", SHAPE)
    named = ModelMetadata("cifar10/resnet20_1w1a", SHAPE, class_names=("x", "y"))
    other = ModelMetadata("cifar100/resnet20_1w1a", SHAPE)
    assert class_names(cifar, 10) == CIFAR10
    assert tuple(sorted(CIFAR10)) == CIFAR10
    assert class_names(cifar, 3) == ("0", "1", "2")
    assert class_names(named, 2) == ("x", "y")
    assert class_names(named, 2, ["p", "q"]) == ("p", "q")
    assert class_names(named, 10) == tuple("0123456789")
    assert class_names(other, 10) == class_names(None, 10) == tuple("0123456789")
    with pytest.raises(UserError, match="there are 1 labels for 2 classes"):
        class_names(named, 2, ["p"])


def test_files_of_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffgrey cat\r\n dög \r\n\r\n".encode())
    assert read_class_names(path) == ["grey cat", "dög"]
    for content, words in ((b"a\n\nb\n", "empty line"), (b"", "empty line"), (b"\xff\xfe\n", "no UTF-8")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=words):
            read_class_names(path)
    with pytest.raises(UserError, match="does not exist"):
        read_class_names(tmp_path / "missing")
