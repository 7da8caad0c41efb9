"""Networks that cannot be exported are refused in one sentence; unusual ones that can be are exported."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import build_model, optimize
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.folding import fold
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

SHAPE = (8, 12, 10)
LONGEST_MESSAGE = 400  # characters of a sentence that a terminal can still show


class Network(nn.Module):
    """One binary layer, and a forward method of the test's choice."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.layer = RotatedBinaryConv2d(8, 8, 3, padding=1)
        self.steps = forward

    def forward(self, x: Tensor) -> object:
        return self.steps(self.layer, x)


def convert(module: nn.Module, shape: object = SHAPE, **options: object) -> onnx.ModelProto:
    return build_model(module.eval(), ModelMetadata("network", shape), **options).model


def assert_computes(model: onnx.ModelProto, module: nn.Module) -> None:
    x = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        want = module(torch.from_numpy(x)).numpy()
    # One float multiplication in another order.
    np.testing.assert_allclose(session.run(None, {"input": x})[0], want, rtol=1e-6, atol=1e-6)


def doubled(layer: nn.Module, x: Tensor) -> Tensor:
    y = layer(x)
    return y + y


def squared(layer: nn.Module, x: Tensor) -> Tensor:
    y = layer(x)
    return y * y


@pytest.mark.parametrize("forward", [doubled, squared])
def test_an_output_combined_with_itself_is_no_residual(forward: Callable[..., Tensor]) -> None:
    network = Network(forward)
    assert_computes(convert(network), network)


def test_a_failing_optimisation_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ValueError("a dump of the graph " * 100)

    monkeypatch.setattr(optimize, "simplify", fail)
    with pytest.raises(UserError, match="--no-simplify") as caught:
        convert(Network(lambda layer, x: layer(x)))
    assert len(str(caught.value)) < LONGEST_MESSAGE


def plain(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)


@pytest.mark.parametrize(
    "shape", [(1, 8, 12, 10), (8, -1, 12), (0, 12, 10), (8, 12), (8, 12.0, 10), 12, None, "8x12x10"]
)
def test_an_input_shape_is_three_integers(shape: object) -> None:
    with pytest.raises(UserError, match="three integers"):
        convert(Network(plain), shape)


def test_an_input_of_other_channels_is_refused() -> None:
    network = nn.Sequential(RotatedBinaryConv2d(8, 8, 3), RotatedBinaryConv2d(8, 4, 3))
    with pytest.raises(UserError, match=r"takes \[N, 8, H, W\], not \[\w+, 3, 12, 10\].*right input shape"):
        convert(network, (3, 12, 10))


def test_a_kernel_larger_than_the_map_is_refused() -> None:
    with pytest.raises(UserError, match="exceeds the padded map"):
        convert(nn.Sequential(RotatedBinaryConv2d(8, 8, 5)), (8, 4, 4))


@pytest.mark.parametrize(
    "forward",
    [
        lambda layer, x: layer(x).mean(),
        lambda layer, x: layer(x).mean(0),
        lambda layer, x: layer(x).argmax(1),
        lambda layer, x: layer(x).reshape(-1, 10),
        lambda layer, x: layer(x).double(),
    ],
    ids=["0-d", "no batch", "integers", "other first axis", "float64"],
)
def test_a_network_returns_float32_tensors_of_the_batch(forward: Callable[..., object]) -> None:
    with pytest.raises(UserError, match="must be float32 and have the batch N"):
        convert(Network(forward))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_parameters_of_another_type_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UserError, match=r"parameter layer.weight is .*float\(\) first"):
        convert(Network(plain).to(dtype))


def wrapped_inside() -> nn.Module:
    network = Network(plain)
    network.layer = torch.compile(network.layer)
    return network


@pytest.mark.parametrize(
    "wrap",
    [
        lambda: torch.compile(Network(plain)),
        lambda: nn.DataParallel(Network(plain)),
        lambda: nn.DataParallel(torch.compile(Network(plain))),
        wrapped_inside,
    ],
    ids=["compile", "parallel", "both", "inside"],
)
def test_shells_around_a_module_are_taken_off(wrap: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = wrap()
    model = convert(module)
    assert [node.name for node in model.graph.node if node.op_type == "BinaryConv2d"] == ["layer"]
    assert_computes(model, fold(module).module)


def test_a_refusal_is_all_that_is_printed() -> None:
    # In a process of its own: torch's loggers keep the stderr that they found first.
    code = """
import warnings
warnings.filterwarnings("ignore", ".*never learned")  # a network that was not trained
from test_refusals import Network, UserError, convert
for forward in (
    lambda layer, x: layer(x) if x.sum() > 0 else x,
    lambda layer, x: layer(x)[: int(x.sum())],
    lambda layer, x: layer(x)[:, :, :, :9] + x,
):
    try:
        convert(Network(forward))
    except UserError as error:
        print(error)
convert(Network(lambda layer, x: layer(x)), opset=19)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) < LONGEST_MESSAGE
