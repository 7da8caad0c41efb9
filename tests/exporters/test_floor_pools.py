"""Pools that round their sizes up: torch's sizes and values, in every runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.runtimes import load_model

POOLS = [
    *(
        nn.MaxPool2d(k, s, p, ceil_mode=True)
        for k, s, p in ((2, 2, 1), (3, 1, 1), (3, 2, 1), (3, 2, 0), (2, 3, 0))
    ),
    nn.MaxPool2d(2, 1, 0, dilation=2, ceil_mode=True),
    *(
        nn.AvgPool2d(k, s, p, ceil_mode=True, count_include_pad=counted)
        for k, s, p in ((2, 2, 1), (3, 1, 1), (3, 2, 1), (3, 2, 0), (2, 3, 0))
        for counted in (False, True)
    ),
]


class Pooled(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool, self.binary = pool, rbnn_deploy.RotatedBinaryConv2d(3, 4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.pool(x)
        return {"pooled": x, "mean": self.binary(x).mean((2, 3))}


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("size", [(13, 18), (14, 14)])
def test_sizes_and_values_are_torchs(pool: nn.Module, size: tuple[int, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    built = build_model(Pooled(pool).eval(), ModelMetadata("pooled", (3, *size)))
    path = tmp_path / "model.onnx"
    onnx.save(built.model, path)
    x = np.random.default_rng(0).standard_normal((2, 3, *size), np.float32)
    want = pool(torch.from_numpy(x)).numpy()
    for runtime in ("ort", "numpy"):
        found = load_model(path, runtime).run_outputs(x)["pooled"]
        # Means may be summed in another order; a maximum is one of its elements.
        np.testing.assert_allclose(found, want, atol=0 if isinstance(pool, nn.MaxPool2d) else 1e-6, rtol=0)
