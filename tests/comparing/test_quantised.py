"""A model whose float layers are int8: runtimes still agree with each other, PyTorch differs by design."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.comparing import Gates
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.metadata import ModelMetadata


class WideStem(nn.Module):
    """A stem that is worth quantising."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2, padding=3)
        self.binary = rbnn_deploy.RotatedBinaryConv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardtanh(self.stem(x))
        x = nn.functional.hardtanh(self.binary(x) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path, np.ndarray]:
    torch.manual_seed(0)
    module = randomise(WideStem(), seed=0)
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((4, 3, 32, 32), np.float32) for _ in range(4)]
    path = tmp_path_factory.mktemp("quantised") / "model.onnx"
    export_onnx(module, path, ModelMetadata("wide", (3, 32, 32)), calibration=images)
    return module, path, np.concatenate(images)


def test_a_model_that_finds_other_classes_fails(exported: tuple[nn.Module, Path, np.ndarray]) -> None:
    """Other classes from int8 layers passed as agreement, since nothing had to be explained."""
    module, path, x = exported
    wrong = copy.deepcopy(module)
    with torch.no_grad():  # each class is called by another's number
        wrong.head.weight.copy_(module.head.weight.roll(1, 0))
        wrong.head.bias.copy_(module.head.bias.roll(1, 0))
    report = rbnn_deploy.compare(path, wrong, x)
    assert max(pair.top1_agreement for pair in report.pairs if pair.left == "torch") == 0
    assert not report.ok
    assert len(report.failed_gates) == 3
    assert "All runtimes agree" not in report.to_text()
    assert "0.00% of the" in report.to_text()
    assert report.to_json()["ok"] is False


def test_the_verdict_says_which_questions_were_not_asked(
    exported: tuple[nn.Module, Path, np.ndarray],
) -> None:
    module, path, x = exported
    report = rbnn_deploy.compare(path, module, x, gates=Gates(min_agreement=0.5))
    assert report.ok, report.to_text()
    verdict = " ".join(report.to_text().rpartition("\n\n")[2].split())
    assert "were not asked to be explained" in verdict
    assert "Accuracy was not compared" in verdict
    assert "at least 50.00% of the samples" in verdict
    assert "All runtimes agree" not in verdict


def test_a_fall_of_accuracy_fails(exported: tuple[nn.Module, Path, np.ndarray]) -> None:
    module, path, x = exported
    with torch.no_grad():
        labels = module(torch.from_numpy(x)).argmax(1).numpy()
    report = rbnn_deploy.compare(path, module, x, labels=labels, gates=Gates(min_agreement=0.0))
    fallen = replace(report, accuracy={**report.accuracy, "ort": 0.979, "numpy": 0.98, "ort-portable": 1.0})
    (sentence,) = fallen.failed_gates
    assert sentence.startswith("the accuracy of ort is 2.10% below that of torch")
    assert replace(fallen, gates=Gates(0.0, 0.03)).failed_gates == []


@pytest.mark.parametrize("bounds", [(-0.1, None), (90.0, None), (None, 2.0), (float("nan"), None)])
def test_bounds_are_shares(bounds: tuple[float | None, float | None]) -> None:
    with pytest.raises(UserError, match="from 0 to 1"):
        Gates(*bounds)


def test_runtimes_agree_and_torch_is_not_asked_to(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = randomise(WideStem(), seed=0)
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((4, 3, 32, 32), np.float32) for _ in range(4)]
    path = tmp_path / "model.onnx"
    result = export_onnx(module, path, ModelMetadata("wide", (3, 32, 32)), calibration=images)
    assert result.nodes["QuantizeLinear"] >= 1
    report = rbnn_deploy.compare(path, module, images[0], layers=True)
    assert report.ok, report.to_text()
    gaps = {(pair.left, pair.right): pair.max_abs_diff for pair in report.pairs}
    assert gaps["torch", "ort"] > 1e-3
    assert gaps["ort", "numpy"] < 1e-5  # a float32 head of 32 products behind equal bits
    assert [(layer.name, layer.identical) for layer in report.layers] == [("binary", True)]
    assert any("int8" in note for note in report.notes)
