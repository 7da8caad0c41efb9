"""A layer with thresholds and terms of its own becomes a GeneralBinaryConv2d that computes the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.folding import GeneralBinaryConv2d, fold
from rbnn_deploy.pytorch.methods import AdaBinConv2d
from rbnn_deploy.window_terms import WindowTerms

# Relative to the largest output. The layer adds products of floats, the folded one multiplies whole sums.
TOLERANCE = 1e-5


def adabin(alpha: float, beta: float, seed: int, *arguments: object, **options: object) -> AdaBinConv2d:
    generator = torch.Generator().manual_seed(seed)
    layer = AdaBinConv2d(*arguments, **options)
    layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
    layer.weight.data += torch.randn(len(layer.weight), 1, 1, 1, generator=generator)
    layer.binary_a.alpha_a.data.fill_(alpha)
    layer.binary_a.beta_a.data.fill_(beta)
    return layer.eval()


def random_norm(channels: int, seed: int) -> nn.BatchNorm2d:
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels).eval()
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_(generator=generator)
    norm.weight.data[-1] = 0
    norm.running_var.uniform_(0.1, 3, generator=generator)
    return norm


@settings(max_examples=80)
@given(
    alpha=st.sampled_from([0.75, -0.75, 1e-3, 0.0]),
    beta=st.sampled_from([0.0, 0.3, -2.5]),
    channels=st.sampled_from([1, 3, 8, 31, 33, 65]),
    outputs=st.integers(1, 9),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 5)]),
    stride=st.integers(1, 3),
    padding=st.sampled_from([0, 1, (2, 1), "same", 4]),
    dilation=st.integers(1, 2),
    grouped=st.booleans(),
    bias=st.booleans(),
    size=st.sampled_from([(9, 10), (9, 9), (10, 17)]),
    seed=st.integers(0, 2**31),
)
def test_folded_layer_computes_the_layer(
    alpha, beta, channels, outputs, kernel, stride, padding, dilation, grouped, bias, size, seed
) -> None:
    groups = channels if grouped else 1
    stride = 1 if padding == "same" else stride
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
    layer = adabin(alpha, beta, seed, channels, outputs * groups, kernel, **options)
    network = nn.Sequential(layer, random_norm(outputs * groups, seed))
    folded = fold(network)
    assert isinstance(folded.module[0], GeneralBinaryConv2d)
    assert isinstance(folded.module[1], nn.Identity)
    x = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        y, found = network(x), folded.module(x)
    assert found.shape == y.shape
    # A BatchNorm may cancel large sums, so its factor counts.
    factor = float((network[1].weight.detach() / network[1].running_var.sqrt()).abs().max())
    largest = float(layer(x).detach().abs().max()) * factor + float(y.abs().max())
    torch.testing.assert_close(found, y, rtol=0, atol=TOLERANCE * max(1.0, largest))


def test_an_input_on_the_threshold_is_plus_one() -> None:
    layer = adabin(0.5, 0.25, 1, 8, 4, 3, padding=1)
    on, above = torch.full((1, 8, 5, 5), 0.25), torch.full((1, 8, 5, 5), 0.5)
    with torch.no_grad():
        assert torch.equal(layer(on), layer(above))
        assert torch.equal(fold(layer).module(on), fold(layer).module(above))


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(UserError, match=r"its scale or bias, with a BatchNorm's .* is not finite"):
        fold(nn.Sequential(adabin(0.5, float("nan"), 1, 8, 4, 3)))


def test_thresholds_need_the_rule_zero() -> None:
    layer = adabin(0.5, 0.25, 1, 8, 4, 3)
    packed, one = torch.zeros(4, 3, 3, 1, dtype=torch.uint8), torch.ones(4).double().numpy()
    with pytest.raises(ValueError, match="has the rule"):
        GeneralBinaryConv2d(
            type(layer.attributes)(channels=8), packed, ChannelAffine(one, one), torch.zeros(8), None
        )


def test_terms_without_thresholds_keep_the_mean() -> None:
    layer = adabin(0.5, 0.25, 1, 8, 4, 3, padding=1)
    attributes = type(layer.attributes)(channels=8, pads=(1, 1, 1, 1), threshold="sample_mean")
    packed, affine = fold(layer).module.weight, layer.affine
    terms = WindowTerms(affine.offset, layer.window_terms.border)
    folded = GeneralBinaryConv2d(attributes, packed, affine, None, terms)
    x = torch.randn(3, 8, 6, 6, generator=torch.Generator().manual_seed(3)) + 4
    centred = x - x.double().mean((1, 2, 3), keepdim=True).float()
    other = GeneralBinaryConv2d(
        type(attributes)(**{**vars(attributes), "threshold": "zero"}), packed, affine, None, terms
    )
    assert torch.equal(folded(x), other(centred))
