"""The layer against a plain transcription of the method in float64, and against recorded reference data."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.paths import REFERENCE, needs_reference

from rbnn_deploy.pytorch.layers import (
    RotatedBinaryConv2d,
    SignGradient,
    binary_layers,
    set_rotation_angle,
    set_training_progress,
    update_rotations,
)

CASES = REFERENCE / "layer_cases.npz"


def make(*args, theta=0.7, **kwargs):
    torch.manual_seed(0)
    layer = RotatedBinaryConv2d(*args, **kwargs)
    set_rotation_angle(layer, theta)
    with torch.no_grad():
        layer.alpha.uniform_(-1, 1)
    return layer


def transcription(layer, x):
    """Steps 1 to 5 of the method, with its gradients written as surrogate expressions."""

    def sign(v, t, k):
        # The antiderivative of the triangle has the triangle as its gradient.
        edge = math.sqrt(2) / t
        inside = v.clamp(-edge, edge)
        surrogate = k * (math.sqrt(2) * t * inside - t**2 * inside * inside.abs() / 2)
        return surrogate + (torch.where(v >= 0, 1.0, -1.0) - surrogate).detach()

    def normal(v):
        v = v - v.mean((1, 2, 3), keepdim=True)
        return v / v.std((1, 2, 3), keepdim=True)

    t, k = layer.sign_gradient.t, layer.sign_gradient.k
    w = normal(layer.weight)
    rotated = torch.stack(
        [layer.R1.T @ o.reshape(len(layer.R1), len(layer.R2)) @ layer.R2 for o in w.detach()]
    ).reshape(w.shape)
    weights = sign(w + layer.rotate.sin().abs() * (rotated - w), t, k)
    activations = sign(normal(x) if layer.threshold == "sample_mean" else x, max(t, 1.0), 1.0)
    y = F.conv2d(activations, weights, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
    return y * layer.alpha


CONFIGURATIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2, "bias": True},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": (2, 3), "padding": "same", "groups": 2},
    {"kernel_size": 3, "padding": 2, "dilation": 2, "threshold": "zero"},
]


@pytest.mark.parametrize("threshold_t", [0.01, 0.3, 10.0])
@pytest.mark.parametrize("arguments", CONFIGURATIONS, ids=str)
def test_training_forward_and_gradients_follow_the_method(arguments, threshold_t):
    layer = make(4, 6, dtype=torch.float64, **arguments)
    layer.sign_gradient = SignGradient(threshold_t, max(1 / threshold_t, 1.0))
    x = torch.randn(3, 4, 7, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    got, expected = layer(x), transcription(layer, x)
    # Float64 on both sides: 1e-9 leaves room for the order of sums and for nothing else.
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    upstream = torch.randn_like(got)
    for g, e in zip(
        torch.autograd.grad(got, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-9 * max(1.0, float(e.abs().max())))


@pytest.mark.parametrize("arguments", CONFIGURATIONS, ids=str)
def test_evaluation_gives_what_training_gives(arguments):
    layer = make(4, 6, dtype=torch.float64, **arguments)
    x = torch.randn(3, 4, 7, 6, dtype=torch.float64)
    with torch.no_grad():
        training, evaluation = layer.train()(x), layer.eval()(x)
    # Evaluation multiplies an integer by alpha; training adds up multiples of alpha, each sum rounded.
    torch.testing.assert_close(training, evaluation, rtol=0, atol=1e-12)


def test_at_the_papers_initial_angle_only_alpha_and_the_input_learn():
    layer = make(4, 6, 3, theta=math.pi / 2, dtype=torch.float64)
    layer(torch.randn(2, 4, 7, 7, dtype=torch.float64)).square().sum().backward()
    # cos(pi/2) and 1 - sin(pi/2) are 6e-17 and 0 in float64.
    assert layer.weight.grad.abs().max() < 1e-12
    assert layer.rotate.grad.abs().max() < 1e-12
    assert layer.alpha.grad.abs().max() > 0


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e-40])
def test_a_constant_sample_is_all_plus_one(value):
    layer = make(5, 2, 3).eval()
    expected = (
        torch.where(layer.effective_weight() >= 0, 1.0, -1.0).sum((1, 2, 3)) * layer.alpha.flatten()
    ).float()
    got = layer(torch.full((1, 5, 3, 3), value))
    assert torch.equal(got.flatten(), expected)


def test_training_on_a_constant_sample_stays_finite():
    layer = make(5, 2, 3)
    x = torch.zeros(1, 5, 4, 4, requires_grad=True)
    layer(x).sum().backward()
    assert all(torch.isfinite(g).all() for g in (x.grad, layer.weight.grad, layer.rotate.grad))


def test_the_threshold_is_each_samples_own_mean():
    layer = make(3, 4, 3).eval()
    x = torch.rand(2, 3, 5, 5)
    shifted = torch.stack([x[0], x[1] + 100])  # changes sample 1 by a constant, so no sign of either
    assert torch.equal(layer(x)[0], layer(shifted)[0])
    assert torch.equal(layer(x[1:]), layer(x)[1:])


def test_effective_weight_of_the_two_extreme_angles():
    layer = make(4, 6, 3, theta=0.0, dtype=torch.float64)
    centred = layer.weight - layer.weight.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(layer.effective_weight(), centred.detach(), rtol=0, atol=1e-15)
    set_rotation_angle(layer, math.pi / 2)
    rotated = layer.R1.T @ centred.reshape(6, 6, 6) @ layer.R2
    torch.testing.assert_close(
        layer.effective_weight(), rotated.reshape(layer.weight.shape).detach(), rtol=0, atol=1e-15
    )
    assert not layer.effective_weight().requires_grad


def test_update_raises_the_overlap_of_the_rotated_weights_with_their_signs():
    layer = make(16, 16, 3, theta=math.pi / 2)
    before = layer.effective_weight().abs().sum()
    layer.update_rotation()
    assert layer.effective_weight().abs().sum() > before
    assert set(layer.state_dict()) == {"weight", "alpha", "rotate", "R1", "R2"}


def test_module_helpers_reach_every_layer():
    module = torch.nn.Sequential(make(3, 4, 3), torch.nn.Sequential(torch.nn.ReLU(), make(4, 4, 1)))
    rotations = [layer.R2.clone() for _, layer in binary_layers(module)]
    gradient = set_training_progress(module, 3, 10)
    update_rotations(module)
    assert [name for name, _ in binary_layers(module)] == ["0", "1.1"]
    assert all(layer.sign_gradient == gradient for _, layer in binary_layers(module))
    assert all(
        not torch.equal(old, layer.R2)
        for old, (_, layer) in zip(rotations, binary_layers(module), strict=True)
    )


def test_initial_values():
    torch.manual_seed(1)
    layer = RotatedBinaryConv2d(8, 4, 3, bias=True)
    torch.testing.assert_close(layer.alpha.flatten(), layer.weight.abs().mean((1, 2, 3)))
    assert torch.equal(layer.rotate, torch.full((4, 1, 1, 1), 0.4))
    for R in (layer.R1, layer.R2):
        torch.testing.assert_close(R @ R.T, torch.eye(len(R)), rtol=0, atol=1e-5)
    assert "threshold='sample_mean'" in repr(layer)


@pytest.mark.parametrize("argument", [{"padding_mode": "reflect"}, {"threshold": "median"}])
def test_refuses_what_a_bit_cannot_do(argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        RotatedBinaryConv2d(3, 4, 3, **argument)


def relative(got, expected):
    return float(((got - expected).norm() / expected.norm()).detach())


@needs_reference
@pytest.mark.parametrize("case", range(5))
def test_reference_layers(case):
    with np.load(CASES) as file:
        data = {key: torch.from_numpy(file[f"case{case}/{key}"]) for key in CASE_KEYS}
        stride, padding, t, k = (file[f"case{case}/{key}"].item() for key in ("stride", "padding", "t", "k"))
    outputs, inputs, *kernel = data["weight"].shape
    layer = RotatedBinaryConv2d(inputs, outputs, tuple(kernel), stride, padding)
    layer.load_state_dict({key: data[key] for key in ("weight", "alpha", "rotate", "R1", "R2")})
    layer.sign_gradient = SignGradient(t, k)
    x = data["input"].requires_grad_()
    y = layer(x)
    y.backward(data["grad_output"])
    # Training rounds sums of multiples of alpha; evaluation multiplies an integer by alpha.
    assert relative(y, data["output"]) < 1e-6
    assert torch.equal(layer.eval()(x), data["output"])
    # Float32 sums in another order.
    assert relative(x.grad, data["grad_input"]) < 1e-5
    assert relative(layer.alpha.grad, data["grad_alpha"]) < 1e-5
    assert relative(layer.weight.grad, data["grad_weight"]) < 1e-5
    assert relative(layer.rotate.grad, data["grad_rotate"]) < 1e-5
    layer.update_rotation()
    # Float32 SVDs of sums in another order.
    torch.testing.assert_close(layer.R1, data["R1_after"], rtol=0, atol=1e-5)
    torch.testing.assert_close(layer.R2, data["R2_after"], rtol=0, atol=1e-5)


CASE_KEYS = (
    *("weight", "alpha", "rotate", "R1", "R2", "input", "output"),
    *("grad_output", "grad_input", "grad_weight", "grad_alpha", "grad_rotate", "R1_after", "R2_after"),
)
