"""Binary linear layers: their formula, shapes and gradients, and the way to a file."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.pytorch.layers import (
    BinaryLinear,
    RotatedBinaryConv2d,
    RotatedBinaryLinear,
    SignConv2d,
    begin_epoch,
    binary_linear,
    binary_sign,
)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("shape", [(5, 12), (5, 7, 12), (2, 3, 4, 12), (1, 1, 12)])
@pytest.mark.parametrize("threshold", ["sample_mean", "zero"])
def test_it_is_a_product_of_signs(shape: tuple[int, ...], threshold: str) -> None:
    torch.manual_seed(0)
    layer = RotatedBinaryLinear(12, 9, threshold=threshold).eval()  # type: ignore[arg-type]
    x = random(*shape)
    mean = x.mean(tuple(range(1, x.ndim)), keepdim=True) if threshold == "sample_mean" else 0.0
    convolution = layer.convolution
    assert isinstance(convolution, RotatedBinaryConv2d)
    weight = binary_sign(convolution.effective_weight()).float()[:, :, 0, 0]
    expected = (F.linear(binary_sign(x, mean), weight) + convolution.bias) * convolution.alpha.flatten()
    # The convolution adds its bias to the sums before it rounds them.
    assert torch.allclose(layer(x), expected, rtol=1e-6, atol=1e-6)


def test_other_binary_layers_can_be_linear() -> None:
    torch.manual_seed(0)
    x = random(3, 6)
    convolution = SignConv2d(6, 4, 1)
    assert torch.equal(BinaryLinear(convolution).eval()(x), convolution(x[:, :, None, None])[:, :, 0, 0])


@pytest.mark.parametrize("options", [{"kernel_size": 3}, {"stride": 2}, {"padding": 1}])
def test_other_geometries_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs one tap"):
        BinaryLinear(RotatedBinaryConv2d(4, 4, **{"kernel_size": 1, **options}))


def test_it_starts_from_a_linear_layer_and_learns() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(8, 5)
    layer = binary_linear(linear)
    convolution = layer.convolution
    assert isinstance(convolution, RotatedBinaryConv2d)
    assert torch.equal(convolution.weight[:, :, 0, 0], linear.weight)
    assert torch.allclose(convolution.bias * convolution.alpha.flatten(), linear.bias, rtol=1e-6)
    begin_epoch(layer, 0, 2)
    layer(random(4, 8)).square().sum().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.abs().sum() > 0


class Block(nn.Module):
    """A transformer block whose products are linear layers, as users write it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        N, T, C = x.shape
        split = self.qkv(self.norm1(x)).reshape(N, T, 3, self.heads, C // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        attention = (query @ key.transpose(-1, -2) / (C // self.heads) ** 0.5).softmax(-1)
        x = x + self.projection((attention @ value).transpose(1, 2).reshape(N, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class VisionTransformer(nn.Module):
    """A small one, of floats."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, 16, 16) * 0.1)
        self.blocks = nn.Sequential(Block(16, 2), Block(16, 2))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))


def metadata(*shape: int) -> rbnn_deploy.ModelMetadata:
    return rbnn_deploy.ModelMetadata("own", shape, mean=(0,) * shape[0], std=(1,) * shape[0])  # type: ignore[arg-type]


def counts(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_a_transformer_is_made_binary_trained_exported_and_compared(tmp_path: Path) -> None:
    network = VisionTransformer()
    example = (random(2, 3, 16, 16),)
    torch.onnx.export(network.eval(), example, tmp_path / "float.onnx", dynamo=True, verbose=False)
    network = rbnn_deploy.binarize(network, linears=True)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    images, labels = random(32, 3, 16, 16), torch.arange(32) % 4
    losses = []
    network.train()
    for epoch in range(8):
        begin_epoch(network, epoch, 8)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    path = tmp_path / "binary.onnx"
    rbnn_deploy.export(network.eval(), path, metadata=metadata(3, 16, 16))
    assert counts(path)["BinaryConv2d"] == 8
    assert counts(path)["MatMul"] == 4  # attention's own products stay float
    assert counts(path)["Transpose"] <= counts(tmp_path / "float.onnx")["Transpose"]
    report = rbnn_deploy.compare(path, network, images.numpy()[:8])
    assert report.ok, report.to_text()


def test_a_perceptron_has_one_node_per_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 32),
        RotatedBinaryLinear(32, 32),
        nn.BatchNorm1d(32),
        nn.Hardtanh(),
        RotatedBinaryLinear(32, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 4),
    )
    network(random(16, 12, 1, 1))  # statistics
    begin_epoch(network, 0, 1)
    path = tmp_path / "perceptron.onnx"
    rbnn_deploy.export(network.eval(), path, metadata=metadata(12, 1, 1))
    found = counts(path)
    assert (found["BinaryConv2d"], found["Gemm"]) == (2, 2)
    assert not found.keys() & {"BatchNormalization", "Clip", "Relu", "Transpose", "Mul", "Add"}
    x = np.random.default_rng(0).normal(size=(6, 12, 1, 1)).astype(np.float32)
    assert rbnn_deploy.compare(path, network, x).ok
