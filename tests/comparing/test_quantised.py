"""A model whose float layers are int8: runtimes still agree with each other, PyTorch differs by design."""

from pathlib import Path

import numpy as np
import torch
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
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
