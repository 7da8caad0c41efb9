"""Folding keeps what a network computes, and refuses with a reason what it cannot fold."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.bits import unpack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.folding import BinaryConv2d, fold, fold_batch_norms
from rbnn_deploy.pytorch.folding.torch_operator import unpack_weight
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

# The folded layer multiplies once by a product that is rounded once, the original rounds every step.
TOLERANCE = 1e-5


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random parameters and statistics; negative and zero alphas and gammas among them."""
    generator = torch.Generator().manual_seed(seed)
    for child in module.modules():
        if isinstance(child, RotatedBinaryConv2d):
            child.alpha.data.normal_(generator=generator)
            child.alpha.data[0] = 0
            child.rotate.data.uniform_(-2, 2, generator=generator)
        if isinstance(child, nn.BatchNorm2d) and child.track_running_stats:
            for tensor in (child.weight.data, child.bias.data, child.running_mean):
                tensor.normal_(generator=generator)
            child.weight.data[-1] = 0
            child.running_var.uniform_(0.1, 3, generator=generator)
    return module.eval()


def assert_same(left: nn.Module, right: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(right(x), left(x), atol=TOLERANCE, rtol=TOLERANCE)


@settings(max_examples=60)
@given(
    channels=st.sampled_from([1, 3, 8, 31, 33, 65]),
    outputs=st.integers(1, 9),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 5)]),
    stride=st.integers(1, 3),
    padding=st.sampled_from([0, 1, (2, 1), "same", "valid"]),
    dilation=st.integers(1, 2),
    grouped=st.booleans(),
    bias=st.booleans(),
    threshold=st.sampled_from(["sample_mean", "zero"]),
    seed=st.integers(0, 2**31),
)
def test_folded_layer_computes_the_layer(
    channels, outputs, kernel, stride, padding, dilation, grouped, bias, threshold, seed
) -> None:
    torch.manual_seed(seed)
    groups = channels if grouped else 1
    layer = RotatedBinaryConv2d(
        channels,
        outputs * groups if grouped else outputs,
        kernel,
        stride=1 if padding == "same" else stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias,
        threshold=threshold,
    )
    randomise(layer, seed)
    folded = fold(layer).module
    assert isinstance(folded, BinaryConv2d)
    assert_same(layer, folded, torch.randn(2, channels, 9, 11))


def test_folded_network_holds_bits_only() -> None:
    network = randomise(nn.Sequential(RotatedBinaryConv2d(33, 16, 3), nn.BatchNorm2d(16)))
    folded = fold(network)
    state = folded.module.state_dict()
    assert {name: tensor.dtype for name, tensor in state.items()} == {
        "0.weight": torch.uint8,
        "0.scale": torch.float32,
        "0.bias": torch.float32,
    }
    assert state["0.weight"].shape == (16, 3, 3, 5)
    assert folded.layers[0].weights == 33 * 16 * 9
    assert any(isinstance(child, RotatedBinaryConv2d) for child in network.modules()), "the original changed"


def test_bits_are_the_signs_of_the_effective_weights() -> None:
    layer = randomise(RotatedBinaryConv2d(13, 4, 3))
    folded = fold(layer).module
    want = np.where(layer.effective_weight().numpy() >= 0, 1, -1)
    np.testing.assert_array_equal(unpack_signs(folded.weight.numpy(), 13).transpose(0, 3, 1, 2), want)
    np.testing.assert_array_equal(unpack_weight(folded.weight, 13).numpy(), want)


def test_exact_zeros_are_counted_and_become_plus_one() -> None:
    layer = RotatedBinaryConv2d(2, 1, 1).eval()
    layer.rotate.data.zero_()  # no rotation: the effective weight is the centred weight
    layer.weight.data.fill_(0.25)
    folded = fold(nn.Sequential(layer))
    assert folded.zeros == 2
    assert folded.layers[0].name == "0"
    assert folded.module[0].weight.item() == 0b11


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    network = nn.Sequential(RotatedBinaryConv2d(2, 1, 1))
    network[0].weight.data[0, 0] = value
    with pytest.raises(UserError, match=r"layer 0.*not finite"):
        fold(network)


def test_module_without_binary_layers_is_refused() -> None:
    with pytest.raises(UserError, match="Linear has no binary layer"):
        fold(nn.Linear(2, 2))


def test_equal_activations_give_a_defined_result() -> None:
    layer = randomise(RotatedBinaryConv2d(3, 4, 3, padding=1))
    for value in (0.0, -0.0, 0.1, -7.0):
        x = torch.full((1, 3, 5, 5), value)
        assert torch.isfinite(layer(x)).all()
        assert_same(layer, fold(layer).module, x)


def test_shared_layer_stays_shared() -> None:
    layer = RotatedBinaryConv2d(4, 4, 3, padding=1)
    network = randomise(nn.Sequential(layer, nn.Hardtanh(), layer))
    folded = fold(network)
    assert folded.module[0] is folded.module[2]
    assert len(folded.layers) == 1
    assert_same(network, folded.module, torch.randn(2, 4, 6, 6))


class Branching(nn.Module):
    """One BatchNorm that can be folded, and others that cannot, each for a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.good, self.good_norm = RotatedBinaryConv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.used, self.used_norm = RotatedBinaryConv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.pooled, self.pooled_norm = RotatedBinaryConv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice, self.twice_norm = RotatedBinaryConv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.free, self.free_norm = RotatedBinaryConv2d(8, 8, 1), nn.BatchNorm2d(8, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_norm(self.stem(x))
        x = self.good_norm(self.good(x))
        y = self.used(x)
        x = self.used_norm(y) + y
        x = self.pooled_norm(F.max_pool2d(self.pooled(x), 2))
        x = self.twice_norm(self.twice(self.twice_norm(self.twice(x))))
        return self.free_norm(self.free(x))


def test_batch_norms_fold_or_say_why_not() -> None:
    network = randomise(Branching(), seed=3)
    folded = fold(network)
    entries = {entry.name: entry for entry in folded.batch_norms}
    assert entries["good_norm"].into == "good"
    reasons = {name: entry.reason for name, entry in entries.items() if entry.into is None}
    assert "not the output of a binary convolution" in reasons["stem_norm"]
    assert "used elsewhere" in reasons["used_norm"]
    assert "not the output of a module" in reasons["pooled_norm"]
    assert "called more than once" in reasons["twice_norm"]
    assert "running statistics" in reasons["free_norm"]
    assert_same(network, folded.module, torch.randn(2, 3, 8, 8))


def test_network_that_cannot_be_traced_keeps_its_batch_norms() -> None:
    class Dynamic(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else x

    network = randomise(Dynamic(RotatedBinaryConv2d(3, 3, 1), nn.BatchNorm2d(3)))
    (entry,) = fold(network).batch_norms
    assert entry.into is None
    assert "torch.fx cannot trace" in entry.reason


def test_batch_norm_in_training_mode_is_not_folded() -> None:
    network = fold(nn.Sequential(RotatedBinaryConv2d(3, 3, 1))).module
    network.append(nn.BatchNorm2d(3))
    network.train()
    (entry,) = fold_batch_norms(network)
    assert "evaluation mode" in entry.reason


def test_affine_composition_is_rounded_once() -> None:
    rng = np.random.default_rng(0)
    inner = ChannelAffine(rng.normal(size=8), rng.normal(size=8))
    gamma, beta, mean, var = (
        rng.normal(size=8),
        rng.normal(size=8),
        rng.normal(size=8),
        rng.uniform(0.1, 2, 8),
    )
    composed = ChannelAffine.from_batch_norm(gamma, beta, mean, var, 1e-5).after(inner)
    x = rng.normal(size=8)
    want = gamma * (inner.multiplier * x + inner.offset - mean) / np.sqrt(var + 1e-5) + beta
    # float64 rounding of a dozen operations
    np.testing.assert_allclose(composed.multiplier * x + composed.offset, want, rtol=1e-13)
    assert composed.rounded()[0].dtype == np.float32


@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (8, 5, 5)])
def test_folded_layer_refuses_inputs_of_another_shape(shape: tuple[int, ...]) -> None:
    folded = fold(RotatedBinaryConv2d(8, 4, 3)).module
    with pytest.raises(ValueError, match=r"takes \[N, 8, H, W\]"):
        folded(torch.zeros(shape))


def scaled(alpha: float, dtype: torch.dtype = torch.float32) -> nn.Module:
    network = nn.Sequential(RotatedBinaryConv2d(4, 4, 3, dtype=dtype), nn.BatchNorm2d(4, dtype=dtype)).eval()
    network[0].alpha.data[1] = alpha
    return network


def normalised(statistic: str, value: float) -> nn.Module:
    network = scaled(1.0)
    getattr(network[1], statistic)[1] = value
    return network


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "network",
    [
        scaled(float("nan")),
        scaled(float("inf")),
        scaled(1e39, torch.float64),  # finite, but not in float32
        normalised("running_mean", float("nan")),
        normalised("running_var", -1.0),
    ],
    ids=["nan", "inf", "overflow", "mean", "variance"],
)
def test_scale_and_bias_that_are_not_finite_are_refused(network: nn.Module) -> None:
    with pytest.raises(UserError, match=r"layer 0: its scale or bias.*not finite"):
        fold(network)


def test_a_single_layer_that_is_not_finite_is_refused() -> None:
    with pytest.raises(UserError, match=r"the layer: its scale or bias.*not finite"):
        fold(scaled(float("nan"))[0])
