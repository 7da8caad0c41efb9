"""Networks of floats become binary ones: which layers are replaced, and with which weights."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, SignConv2d, binary_layers


class MobileNet(nn.Module):
    """Like a MobileNet: depthwise and pointwise convolutions; its stem is defined last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(16, 3)
        self.blocks = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Conv2d(8, 16, 1, bias=False)
        )
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.blocks(F.relu(self.stem(x)))).mean((2, 3)))


class UNet(nn.Module):
    """Like a U-Net: upsampling and concatenation; one convolution is used twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(8, 8, 3, padding="same")
        self.again = self.middle
        self.up = nn.Conv2d(16, 8, 3, padding=1)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y = self.again(F.relu(self.middle(self.down(x))))
        return self.out(F.relu(self.up(torch.cat([F.interpolate(y, scale_factor=2), x], 1))))


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in binary_layers(module)]


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
BLOCKS = ["blocks.0", "blocks.2"]


@pytest.mark.parametrize(
    ("options", "binary"),
    [
        ({}, BLOCKS),  # the head is defined first, the stem last
        ({"example": X}, BLOCKS),
        ({"keep_ends": False}, [*BLOCKS, "stem"]),
        ({"include": ["blocks.?"]}, BLOCKS),
        ({"include": ["stem"]}, ["stem"]),
        ({"include": "blocks.0"}, ["blocks.0"]),
        ({"include": ["stem", "blocks.2"], "keep_ends": True}, ["blocks.2"]),
        ({"exclude": ["*.0"]}, ["blocks.2"]),
        ({"exclude": lambda _, conv: conv.groups > 1}, ["blocks.2"]),
        ({"include": lambda _, conv: conv.kernel_size == (3, 3), "exclude": ["stem"]}, ["blocks.0"]),
    ],
)
def test_names_and_functions_choose(options: dict, binary: list[str]) -> None:
    model = MobileNet()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert names(rbnn_deploy.binarize(model, **options)) == binary
    assert names(model) == []
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_order_of_running_tells_the_ends() -> None:
    """By definition the ends are the first block and the head; by running, the stem and the head."""

    class Shuffled(MobileNet):
        def __init__(self) -> None:
            super().__init__()
            stem, head = self.stem, self.head
            del self.stem, self.head
            self.stem, self.head = stem, head

    assert names(rbnn_deploy.binarize(Shuffled())) == ["blocks.2", "stem"]
    model = rbnn_deploy.binarize(Shuffled().train(), example=X)
    assert names(model) == BLOCKS
    assert model.training
    assert model.blocks[1].training
    assert (model.blocks[1].running_mean == 0).all()  # the example did not change it


def test_weights_scale_and_bias_are_those_of_the_convolution() -> None:
    model = MobileNet()
    conv, binary = model.blocks[0], rbnn_deploy.binarize(model).blocks[0]
    assert isinstance(binary, RotatedBinaryConv2d)
    assert torch.equal(binary.weight, conv.weight)
    torch.testing.assert_close(binary.alpha.flatten(), conv.weight.abs().mean((1, 2, 3)))
    # Two roundings of float32: the division and the product.
    torch.testing.assert_close(binary.bias * binary.alpha.flatten(), conv.bias)
    assert (binary.stride, binary.padding, binary.groups) == (conv.stride, conv.padding, conv.groups)
    assert rbnn_deploy.binarize(model).blocks[2].bias is None


def test_a_shared_convolution_stays_shared() -> None:
    model = rbnn_deploy.binarize(UNet())
    assert names(model) == ["down", "middle", "up"]
    assert model.again is model.middle


def test_make_builds_another_kind() -> None:
    model = rbnn_deploy.binarize(
        MobileNet(), make=lambda c: SignConv2d(c.in_channels, c.out_channels, c.kernel_size, groups=c.groups)
    )
    assert [type(layer) for _, layer in binary_layers(model)] == [SignConv2d, SignConv2d]


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (MobileNet, {"include": ["block"]}, "include 'block' names no torch.nn.Conv2d; name one"),
        (MobileNet, {"include": ["head"]}, r"include 'head' names no torch.nn.Conv2d \(Linear\)"),
        (MobileNet, {"exclude": ["stm"]}, "exclude 'stm' names no torch.nn.Conv2d"),
        (MobileNet, {"exclude": ["*"]}, "MobileNet has no torch.nn.Conv2d to make binary"),
        (MobileNet, {"example": X[:, :1]}, "MobileNet does not run on the example: .*; mend one"),
        (lambda: nn.Conv2d(3, 3, 3), {}, "Conv2d has no torch.nn.Conv2d to make binary"),
        (
            lambda: nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
            {"keep_ends": False},
            "cannot make the layer binary: it pads by 'reflect'",
        ),
        (lambda: nn.Sequential(nn.LazyConv2d(3, 3)), {}, "0 .LazyConv2d. has no weights yet"),
    ],
)
def test_what_cannot_be_done_is_refused(model, options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        rbnn_deploy.binarize(model(), **options)


@pytest.mark.parametrize(("kind", "layers"), [(MobileNet, 2), (UNet, 4)])
def test_a_binarized_network_learns_and_is_deployed(kind, layers: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    model = rbnn_deploy.binarize(kind())
    target = torch.randn_like(model(X))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for epoch in range(8):
        rbnn_deploy.begin_epoch(model, epoch, 8)
        optimizer.zero_grad()
        loss = F.mse_loss(model(X), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    path = tmp_path / "model.onnx"
    metadata = rbnn_deploy.ModelMetadata("mine", (3, 8, 8), mean=(0,) * 3, std=(1,) * 3)
    assert rbnn_deploy.export(model, path, metadata=metadata).nodes["BinaryConv2d"] == layers
    report = rbnn_deploy.compare(path, model, X.numpy())
    assert sum(pair.unexplained for pair in report.pairs) == 0
