"""What makes a step faster must not change what it computes."""

import dataclasses
import functools

import pytest
import torch
import torch.nn.functional as F
from support.training import SHORT, digits_network, own_network, stripes_data

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, SignGradient, binary_layers, set_rotation_angle
from rbnn_deploy.pytorch.layers.signs import binary_sign
from rbnn_deploy.pytorch.training import TrainingOptions, TrainingRecipe, train
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.step.initialise import initialise
from rbnn_deploy.pytorch.training.step.optimizer import build_optimizer
from rbnn_deploy.pytorch.training.step.step import Step

CPU = torch.device("cpu")


def relative_error(got, expected):
    return float((got.float() - expected.float()).norm() / expected.float().norm())


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = RotatedBinaryConv2d(32, 48, 3, padding=1)
    set_rotation_angle(layer, 0.7)
    layer.sign_gradient = SignGradient(0.5, 2.0)
    return layer


def gradients(layer, x, upstream, amp, monkeypatch):
    """Returns what a layer convolves, and its gradients, with or without autocast."""
    convolved = []

    def conv2d(*arguments):
        convolved.extend(arguments[:2])
        return F_conv2d(*arguments)

    F_conv2d = F.conv2d
    monkeypatch.setattr(F, "conv2d", conv2d)
    layer.zero_grad()
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        y = layer(x)
    y.float().backward(upstream)
    monkeypatch.undo()
    names = [name for name, _ in layer.named_parameters()]
    return convolved, {"input": x.grad} | {name: getattr(layer, name).grad.clone() for name in names}


@pytest.mark.parametrize("rounded", [False, True])
def test_autocast_keeps_every_bit_and_nearly_every_gradient(layer, rounded, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    # Far from 0, where a mean in bfloat16 would be rounded to a multiple of 1 / 8.
    x = 20 + torch.randn(4, 32, 9, 9, generator=generator)
    upstream = torch.randn(4, 48, 9, 9, generator=generator).bfloat16().float()
    whole = x.bfloat16().float() if rounded else x
    bits, expected = gradients(layer, whole, upstream, False, monkeypatch)
    amp_bits, got = gradients(layer, x.bfloat16() if rounded else x, upstream, True, monkeypatch)
    for a, b in zip(bits, amp_bits, strict=True):
        assert torch.equal(binary_sign(a.float()), binary_sign(b.float()))
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        # bfloat16 keeps 8 bits: alpha in the forward product, and the convolution's results, are off by up to
        # 1 / 512 each.
        assert relative_error(got[name], gradient) < 1e-2, name


def test_it_trains_with_autocast():
    recipe = dataclasses.replace(SHORT, epochs=2)
    module = digits_network()
    history = train(module, stripes_data(), recipe, options=TrainingOptions(amp="bf16"))
    assert history[-1].test_accuracy > 0.8
    assert {value.dtype for value in module.parameters()} == {torch.float32}


def test_channels_last_is_the_same_network(tmp_path):
    recipe = dataclasses.replace(SHORT, epochs=2)
    layouts = []

    def note(_, inputs):
        layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    module = digits_network()
    module.layer2.conv1.register_forward_pre_hook(note)
    options = TrainingOptions(channels_last=True)
    history = train(module, stripes_data(), recipe, tmp_path, options=options)
    assert set(layouts) == {True}
    assert history[-1].test_accuracy > 0.8
    saved = torch.load(tmp_path / "last.pt", weights_only=True)["state_dict"]
    for name, value in module.state_dict().items():
        assert value.is_contiguous(), name
        assert saved[name].is_contiguous(), name
        assert torch.equal(saved[name], value), name


@pytest.fixture
def count_compilations(monkeypatch):
    """Compiles without a C++ compiler, as far as autograd's graph, and counts."""
    count = []

    def backend(graph, inputs):
        count.append(len(inputs))
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend, fullgraph=True))
    yield count
    torch.compiler.reset()


def test_a_compiled_step_has_the_same_gradients_in_every_epoch(count_compilations):
    modules = digits_network(), digits_network()
    data = stripes_data()
    x, labels = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)), data.train_labels[:16]
    steps = []
    for module, compiled in zip(modules, (False, True), strict=True):
        initialise(module, SHORT)
        options = TrainingOptions(compile=compiled)
        steps.append(Step.of(module, build_optimizer(module, SHORT), options, Processes(), CPU))
    for epoch in (0, 7, 11):
        gradient = SignGradient.at_epoch(epoch, 12)
        for module, step in zip(modules, steps, strict=True):
            for _, layer in binary_layers(module):
                layer.sign_gradient = gradient
            step.begin_epoch(gradient)
            step.backward(x, labels)
        for (name, a), b in zip(modules[0].named_parameters(), modules[1].parameters(), strict=True):
            # The same float32 operations but for t and k; the BatchNorm behind it makes the gradient of an
            # alpha the small difference of large sums.
            tolerance = 0.1 if name.endswith("alpha") else 1e-4
            assert relative_error(b.grad, a.grad) < tolerance, (epoch, name)
    assert len(count_compilations) == 1


def test_a_compiled_training_leaves_the_module_as_another(count_compilations, tmp_path):
    recipe = dataclasses.replace(SHORT, epochs=3)
    module = digits_network()
    history = train(module, stripes_data(), recipe, tmp_path, options=TrainingOptions(compile=True))
    assert len(count_compilations) == 1
    assert history[-1].test_accuracy > 0.8
    assert all(layer.sign_gradient == SignGradient.at_epoch(2, 3) for _, layer in binary_layers(module))
    assert not [key for key in torch.load(tmp_path / "last.pt")["state_dict"] if key.startswith("_orig")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"amp": "fp8"}, "choose bf16"),
        ({"workers": -1}, "workers must not be negative"),
        ({"checkpoint_every": 0}, "at least 1 step"),
        ({"sync_batch_norm": True}, "needs device cuda, not cpu"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        TrainingOptions(**wrong)


def test_a_device_that_is_not_here():
    name = "cuda:999"
    with pytest.raises(UserError, match=f"no device '{name}' here"):
        train(own_network(), stripes_data(), TrainingRecipe(), options=TrainingOptions(device=name))
