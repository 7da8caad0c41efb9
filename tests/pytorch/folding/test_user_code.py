"""Folding leaves out no code of a user's: it keeps the code, or refuses with the reason."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.comparing import TorchSubject
from rbnn_deploy.pytorch.folding import BinaryConv2d, fold
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, begin_epoch
from rbnn_deploy.signature import Signature, TensorSpec

# float32: the BatchNorm is folded into one multiplication and one addition.
TOLERANCE = 1e-5
X = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0))


def make(layer: nn.Module | None = None, norm: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(
        layer or RotatedBinaryConv2d(8, 8, 3, padding=1), norm or nn.BatchNorm2d(8), nn.Hardtanh()
    ).eval()
    begin_epoch(network, 0, 1)
    return network


def double(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None = None) -> Tensor:
    return 2 * inputs[0] if output is None else 2 * output + 1


def same(network: nn.Module, folded: nn.Module) -> None:
    with torch.no_grad():
        torch.testing.assert_close(folded(X), network(X), atol=TOLERANCE, rtol=TOLERANCE)


class OwnForward(RotatedBinaryConv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(-x)


class OwnConvolution(RotatedBinaryConv2d):
    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._convolve(x, weight, bias) + 1


class OwnArguments(RotatedBinaryConv2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (lambda layer: layer.register_forward_pre_hook(double), r"forward pre-hook \(double\)"),
        (lambda layer: layer.register_forward_hook(double), r"forward hook \(double\)"),
        (lambda layer: setattr(layer, "forward", lambda x: x), "forward method was replaced"),
        (nn.utils.spectral_norm, "SpectralNorm.*parametrizations"),
    ],
    ids=["pre-hook", "hook", "forward", "spectral_norm"],
)
def test_code_around_a_binary_layer_is_refused(register, said) -> None:
    network = make()
    register(network[0])
    with pytest.raises(UserError, match=f"layer 0: it.*{said}"):
        fold(network)


@pytest.mark.parametrize(("kind", "name"), [(OwnForward, "forward"), (OwnConvolution, "_convolve")])
def test_a_subclass_that_computes_something_else_is_refused(kind, name) -> None:
    with pytest.raises(UserError, match=f"layer 0: its class {kind.__name__} overrides {name}, which"):
        fold(make(kind(8, 8, 3, padding=1)))


def test_a_subclass_with_its_own_arguments_folds() -> None:
    network = make(OwnArguments(8))
    folded = fold(network).module
    assert isinstance(folded[0], BinaryConv2d)
    same(network, folded)


def test_a_parametrized_layer_folds_to_its_present_weights() -> None:
    network = make()
    nn.utils.parametrizations.spectral_norm(network[0])
    nn.utils.parametrize.register_parametrization(network[0], "alpha", nn.Softplus())
    folded = fold(network.eval()).module
    assert isinstance(folded[0], BinaryConv2d)
    same(network, folded)


class Doubled(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize("kind", ["hook", "pre-hook", "forward", "subclass"])
def test_a_batch_norm_with_code_around_it_stays_and_computes(kind) -> None:
    network = make(norm=Doubled(8) if kind == "subclass" else None)
    norm = network[1]
    if kind == "hook":
        norm.register_forward_hook(double)
    elif kind == "pre-hook":
        norm.register_forward_pre_hook(double)
    elif kind == "forward":
        norm.forward = torch.sin
    folded = fold(network)
    ((entry),) = folded.batch_norms
    assert entry.into is None
    assert isinstance(folded.module[1], nn.BatchNorm2d)
    same(network, folded.module)


class KeepsActivations(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = make()
        self.features: dict[str, list[Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        self.last, self.features = y, {"all": [y]}
        return y


def test_a_network_that_keeps_its_activations_folds_and_is_compared() -> None:
    network = KeepsActivations()
    network.train()(X)
    network.eval()
    kept = network.last
    same(network, fold(network).module)
    network.last = kept
    signature = Signature((TensorSpec("x", "float32", None),), (TensorSpec("y", "float32", None),))
    TorchSubject(network, signature).run({"x": X.numpy()})
    assert network.last is kept
    assert kept.requires_grad


def test_a_lazy_module_that_never_ran_is_refused() -> None:
    network = make()
    network.append(nn.Flatten()).append(nn.LazyLinear(3))
    with pytest.raises(UserError, match=r"4 \(LazyLinear\) has no weights yet"):
        fold(network)
    network(X)
    same(network, fold(network).module)


def test_a_batch_norm_without_running_statistics_is_told() -> None:
    network = make(norm=nn.BatchNorm2d(8, track_running_stats=False))
    with pytest.warns(UserWarning, match="1 is a BatchNorm without running statistics"):
        fold(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fold(make())
