"""Networks that cannot be exported are refused in one sentence; unusual ones that can be are exported."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from exporters.onnx import build_model, export
from rbnn_deploy.errors import UserError
from rbnn_deploy.layers import RotatedBinaryConv2d
from rbnn_deploy.metadata import ModelMetadata

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
    return build_model(module.eval(), ModelMetadata("network", shape), **options)[0]


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

    monkeypatch.setattr(export, "fuse", fail)
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
