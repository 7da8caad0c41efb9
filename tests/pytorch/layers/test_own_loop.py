"""A layer in a user's own training loop learns, or says why it does not."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rbnn_deploy.pytorch.folding import fold
from rbnn_deploy.pytorch.layers import (
    RotatedBinaryConv2d,
    SignGradient,
    begin_epoch,
    set_rotation_angle,
    update_rotations,
)
from rbnn_deploy.pytorch.networks import build_network


def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        RotatedBinaryConv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.Hardtanh(),
        RotatedBinaryConv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )


def batches():
    """Images whose class is the quarter of the image that is bright."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(4, (256,), generator=generator)
    images = torch.rand(256, 1, 8, 8, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        top, left = 4 * (label // 2), 4 * (label % 2)
        image[0, top : top + 4, left : left + 4] += 0.5
    return list(zip(images.split(32), labels.split(32), strict=True))


def bits(network):
    layers = [layer for layer in network if isinstance(layer, RotatedBinaryConv2d)]
    return torch.cat([(layer.effective_weight() >= 0).flatten() for layer in layers])


def run(network, epochs=4, *, prepare=True):
    """The loop of the documentation; returns the mean loss of every epoch."""
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    losses = []
    for epoch in range(epochs):
        if prepare:
            begin_epoch(network, epoch, epochs)
        total = 0.0
        for x, labels in batches():
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / 8)
    return losses


@pytest.mark.parametrize("prepare", [True, False], ids=["begin_epoch", "plain"])
def test_default_arguments_learn(prepare):
    network = make()
    before, weight = bits(network), network[2].weight.detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = run(network, prepare=prepare)
    assert losses[-1] < 0.8 * losses[0]
    assert (network[2].weight != weight).any()
    assert (bits(network) != before).any()


def test_begin_epoch_sets_the_gradient_and_learns_the_rotations():
    network, other = make(), make()
    assert begin_epoch(network, 1, 4) == SignGradient.at_epoch(1, 4) == network[5].sign_gradient
    update_rotations(other)
    assert torch.equal(network[2].R1, other[2].R1)
    assert torch.equal(network[5].R2, other[5].R2)


def test_a_dead_gradient_is_told_once():
    network = make()
    set_rotation_angle(network, math.pi / 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        weight = network[2].weight.detach().clone()
        run(network, 2)
    assert torch.equal(network[2].weight, weight)
    (warning,) = [w for w in caught if "no gradient" in str(w.message)]
    assert "set_rotation_angle(module, 0.4)" in str(warning.message)


@pytest.mark.parametrize("kind", ["evaluation", "no_grad", "frozen"])
def test_nothing_is_told_where_nothing_is_trained(kind):
    network = make()
    set_rotation_angle(network, math.pi / 2)
    x = torch.rand(2, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if kind == "evaluation":
            network.eval()(x)
        elif kind == "no_grad":
            with torch.no_grad():
                network(x)
        else:
            for layer in (network[2], network[5]):
                layer.weight.requires_grad_(False)
            network(x).sum().backward()


@pytest.mark.parametrize("name", ["digits/resnet8_1w1a", "cifar10/resnet20_1w1a"])
def test_named_networks_keep_the_papers_start(name):
    network = build_network(name)
    layers = [layer for layer in network.modules() if isinstance(layer, RotatedBinaryConv2d)]
    assert layers
    assert all((layer.rotate == math.pi / 2).all() for layer in layers)


def test_folding_warns_of_rotations_that_were_never_learned():
    network = make()
    with pytest.warns(UserWarning, match=r"^2 and 1 more: the rotations were never learned.*begin_epoch"):
        fold(network)
    loaded = make()
    loaded.load_state_dict(network.state_dict())  # a checkpoint does not say
    begin_epoch(network, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fold(network)
        fold(loaded)
