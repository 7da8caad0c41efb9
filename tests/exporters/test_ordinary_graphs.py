"""Graphs that users write every day: each is exported as it computes, or refused with the reason."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import build_model, export
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

SHAPE = (3, 10, 12)
# ONNX Runtime computes float layers in another order than torch; no bit lies near its threshold here.
TOLERANCE = 1e-5


class Network(nn.Module):
    """A float stem, one binary layer, and a forward method of the test's choice."""

    def __init__(self, steps: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer = RotatedBinaryConv2d(8, 8, 3, padding=1)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(self.layer, self.stem(x))


def after(steps: Callable[[Tensor], Tensor]) -> Network:
    return Network(lambda layer, x: steps(layer(x)))


def one_branch(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, lambda x: layer(x) * 2, lambda x: x * 1, (x,))


def both_branches(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.cond(x.sum() > 0, layer, lambda x: layer(-x), (x,))


NETWORKS = {
    "permute": after(lambda y: y.permute(0, 3, 1, 2)),
    "mean of means": after(lambda y: y.mean((2, 3)).mean(1, keepdim=True)),
    "mean of kept means": after(lambda y: y.mean((2, 3), keepdim=True).mean(1)),
    "sum of sums": after(lambda y: y.sum(1).sum(1, keepdim=True)),
    "integer below float": after(lambda y: torch.clamp(y, -1, 1.5)),
    "integer above float": after(lambda y: y.clamp(min=-0.5, max=1)),
    "integers": after(lambda y: torch.clip(y, 0, 6)),
    "hardtanh": after(lambda y: F.hardtanh(y, -1, 1.5)),
    "cond, one branch": Network(one_branch),
    "cond, both branches": Network(both_branches),
}


def assert_computes(module: nn.Module, **options: object) -> list[str]:
    """Compares with torch, where each branch of a condition is taken; returns the names of binary nodes."""
    torch.manual_seed(0)
    module = module.eval()
    model = build_model(module, ModelMetadata("network", SHAPE), **options).model
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((3, *SHAPE), np.float32)
    for given in (x, -x):
        with torch.no_grad():
            want = module(torch.from_numpy(given)).numpy()
        (got,) = session.run(None, {"input": given})
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE)
    return [node.name for node in model.graph.node if node.op_type == BINARY_CONV2D]


@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "as it is"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_computes_what_the_module_does(name: str, optimize: bool) -> None:
    assert_computes(NETWORKS[name], optimize=optimize)


class Named(nn.Module):
    """A parameter whose name is also that of a part of the graph."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer = RotatedBinaryConv2d(8, 8, 3, padding=1)
        self.name = name
        setattr(self, name, nn.Parameter(torch.linspace(0.5, 2, 8).view(8, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.stem(x)) * getattr(self, self.name)


@pytest.mark.parametrize("optimize", [True, False], ids=["optimised", "as it is"])
@pytest.mark.parametrize("name", ["input", "logits", "N", "no_residual"])
def test_a_parameter_may_have_a_name_of_the_graph(name: str, optimize: bool) -> None:
    assert assert_computes(Named(name), optimize=optimize) == ["layer"]


class Autocast(nn.Module):
    def __init__(self, dtype: torch.dtype, enabled: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer = RotatedBinaryConv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        self.dtype, self.enabled = dtype, enabled

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", self.dtype, enabled=self.enabled):
            return self.head(self.layer(self.stem(x)).mean((2, 3))).float()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_around_binary_layers_is_refused_in_one_sentence(dtype: torch.dtype) -> None:
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(UserError, match=f"in {kind}, for instance by autocast.*enabled=False"):
        build_model(Autocast(dtype, True).eval(), ModelMetadata("network", SHAPE))


def test_autocast_that_is_off_is_exported_with_the_layer_s_name() -> None:
    assert assert_computes(Autocast(torch.bfloat16, False)) == ["layer"]


@pytest.mark.parametrize("opset", ["18", 18.0, True, None])
def test_an_opset_is_an_integer(opset: object) -> None:
    with pytest.raises(UserError, match=r"the opset cannot be .*pass an integer"):
        build_model(after(lambda y: y).eval(), ModelMetadata("network", SHAPE), opset=opset)


def test_a_network_too_large_for_a_file_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(*_: object, **__: object) -> None:
        raise AssertionError("the network was captured")

    module = after(lambda y: y).eval()
    monkeypatch.setattr(export, "export_graph", capture)
    size = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    monkeypatch.setattr(export, "LARGEST_NETWORK", size)
    with pytest.raises(AssertionError, match="captured"):
        build_model(module, ModelMetadata("network", SHAPE))
    monkeypatch.setattr(export, "LARGEST_NETWORK", size - 1)
    with pytest.raises(UserError, match=r"parameters take .* GiB, .*smaller"):
        build_model(module, ModelMetadata("network", SHAPE))
