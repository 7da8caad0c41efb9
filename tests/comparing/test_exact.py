"""Models whose every operator has one result: runtimes must give equal outputs."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.comparing.compare import compare
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.base import Runtime
from rbnn_deploy.runtimes.value_histograms import value_histograms

SHAPE = (3, 16, 16)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 5)
        self.binary = rbnn_deploy.RotatedBinaryConv2d(16, 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardtanh(self.stem(x))
        return self.head(nn.functional.hardtanh(self.binary(x) + x).mean((2, 3)))


class AlmostEqual(Runtime):
    """A runtime whose largest logit is one last bit larger."""

    def __init__(self, path: Path) -> None:
        self._runtime = load_model(path)
        self.name, self.path, self.metadata = "another", path, self._runtime.metadata
        self.signature = self._runtime.signature

    def _run(self, feeds: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
        found = self._runtime.run_with(dict(feeds), names)
        found["logits"] = np.nextafter(found["logits"], np.float32(np.inf))
        return found


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    module = randomise(Network(), seed=0)
    path = tmp_path_factory.mktemp("exact") / "model.onnx"
    measure = partial(value_histograms, batches=[images(8)])
    export_onnx(module, path, ModelMetadata("exact", SHAPE), measure=measure)
    return module, path


def test_runtimes_are_asked_for_equal_logits_and_torch_is_not(exported: tuple[nn.Module, Path]) -> None:
    module, path = exported
    report = rbnn_deploy.compare(path, module, images(5), layers=True)
    assert report.ok, report.to_text()
    asked = {(pair.left, pair.right): (pair.asked, pair.equal_asked) for pair in report.pairs}
    assert asked["torch", "ort"] == (False, False)
    assert asked["ort", "numpy"] == (True, True)
    assert asked["ort", "ort-portable"] == (True, False)
    assert {pair.max_abs_diff for pair in report.pairs if pair.left != "torch"} == {0.0}
    text = " ".join(report.to_text().split())
    assert "The deployed runtimes, ort-portable aside, give equal logits." in text
    assert [pair["equal_asked"] for pair in report.to_json()["pairs"]] == [False] * 4 + [True, False]


def test_a_verdict_without_torch(exported: tuple[nn.Module, Path]) -> None:
    report = rbnn_deploy.compare(exported[1], None, images(3), runtimes=("ort", "numpy"))
    assert report.ok
    assert report.to_text().endswith("All runtimes give equal logits, and so does every processor.")


def test_one_bit_fails(exported: tuple[nn.Module, Path]) -> None:
    path = exported[1]
    report = compare(path, None, images(3), runtimes=("ort", "numpy"), others=[AlmostEqual(path)])
    assert not report.ok
    assert [pair.unequal for pair in report.pairs] == [False, True, True]
    text = " ".join(report.to_text().split())
    assert "ort and another do NOT give equal logits" in text


def test_one_bit_does_not_fail_where_float_steps_may_differ(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "model.onnx"
    export_onnx(randomise(Network(), seed=0), path, ModelMetadata("float", SHAPE))
    report = compare(path, None, images(3), runtimes=("ort",), others=[AlmostEqual(path)])
    assert report.ok
    assert not report.pairs[0].equal_asked
