"""Compares a training step, and the update of the rotations, with the method transcribed word by word.

usage: python benchmarks/training_step.py [--arch NAME] [--batch N] [--threads T] [--runs N] [--json FILE]

The transcription standardises with torch's own mean and std, keeps every intermediate tensor for autograd,
sums the rotation's updates in a loop over output channels, and multiplies the map by alpha: the equations of
the paper as one would first write them. Both sides train the same network from the same weights on the same
images, in turns within one process. First, one step in float64 must give the same loss and gradients on both
sides.
"""

import argparse
import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import (
    RotatedBinaryConv2d,
    binary_layers,
    set_rotation_angle,
    set_training_progress,
    update_rotations,
)
from rbnn_deploy.pytorch.networks import build_network, get_architecture

# In float64, where rounding moves no activation across its threshold; only the order of sums is left.
GRADIENT_TOLERANCE = 1e-9
CHECKED_IMAGES = 32


class _TranscribedSign(torch.autograd.Function):
    """sign(x), with max(k * (sqrt(2) * t - |t^2 * x|), 0) in place of its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: float, k: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.t, ctx.k = t, k
        return torch.sign(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        slope = ctx.k * (math.sqrt(2) * ctx.t - torch.abs(ctx.t**2 * x))
        return grad_outputs[0] * torch.clamp(slope, min=0), None, None


class TranscribedConv2d(RotatedBinaryConv2d):
    """The layer's training mode and its rotation update as the equations state them."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        """Convolves the signs of the standardised input and of the adjusted weights."""
        w = transcribed_standardize(self.weight)
        a = transcribed_standardize(input)
        rotated = (self.R1.t() @ self._matrices(w) @ self.R2).view_as(w)
        w = w + torch.abs(torch.sin(self.rotate)) * (rotated.detach() - w)
        weights, activations = self.sign_gradient, self.sign_gradient.for_activations
        bw = _TranscribedSign.apply(w, weights.t, weights.k)  # type: ignore[no-untyped-call]
        ba = _TranscribedSign.apply(a, activations.t, activations.k)  # type: ignore[no-untyped-call]
        y = F.conv2d(ba, bw, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return y * self.alpha

    @torch.no_grad()
    def update_rotation(self) -> None:
        """Three sweeps, the sums taken channel by channel."""
        X = self._matrices(transcribed_standardize(self.weight))
        R1, R2 = self.R1, self.R2
        for _ in range(3):
            B = torch.sign(R1.t() @ X @ R2)
            D1 = sum(b @ R2.t() @ x.t() for b, x in zip(B, X, strict=True))
            U, _, V = torch.svd(D1)
            R1 = V @ U.t()
            D2 = sum(x.t() @ R1 @ b for b, x in zip(B, X, strict=True))
            U, _, V = torch.svd(D2)
            R2 = U @ V.t()
        self.R1.copy_(R1)
        self.R2.copy_(R2)

    def _matrices(self, w: Tensor) -> Tensor:
        return w.reshape(-1, self.R1.shape[0], self.R2.shape[0])


def transcribed_standardize(x: Tensor) -> Tensor:
    """(x - mean) / std, each over all axes but the first."""
    centred = x - x.mean([1, 2, 3], keepdim=True)
    return centred / centred.std([1, 2, 3], keepdim=True)


def transcribed(network: nn.Module) -> nn.Module:
    """Returns a copy of a network whose binary layers are the transcription."""
    network = copy.deepcopy(network)
    for _, layer in binary_layers(network):
        layer.__class__ = TranscribedConv2d
    return network


class Step:
    """Forward, backward and SGD on one batch."""

    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.network = network.train()
        self.images, self.labels = images, labels
        self.optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=1e-4)

    def gradients(self) -> tuple[float, dict[str, Tensor]]:
        """Returns the loss and every parameter's gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.network(self.images), self.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        named = self.network.named_parameters()
        return float(loss.detach()), {name: p.grad for name, p in named if p.grad is not None}

    def __call__(self) -> None:
        """Takes the step."""
        self.gradients()
        self.optimizer.step()


def check_gradients(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Exits unless both sides have the same loss and gradients in float64."""
    exact = copy.deepcopy(network).double()
    images, labels = images[:CHECKED_IMAGES].double(), labels[:CHECKED_IMAGES]
    (loss, ours), (their_loss, theirs) = (
        Step(side, images, labels).gradients() for side in (exact, transcribed(exact))
    )
    difference = largest_difference(ours, theirs)
    print(f"float64: loss {loss:.9f} and {their_loss:.9f}, gradients within {difference:.1e} of each other")
    if difference > GRADIENT_TOLERANCE:
        raise SystemExit("the two sides do not compute the same gradients")


def build(arch: str, seed: int = 0) -> nn.Module:
    """Builds a network in the middle of a training: a gradient reaches every parameter."""
    torch.manual_seed(seed)
    network = build_network(arch)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 0, 0.2)
    set_rotation_angle(network, 0.4)
    set_training_progress(network, 6, 12)
    return network


def largest_difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Returns the largest norm of a gradient's difference, relative to that of the gradient."""
    if ours.keys() != theirs.keys():
        raise SystemExit(f"gradients of {sorted(ours.keys() ^ theirs.keys())} are missing on one side")
    return max(float((ours[n] - theirs[n]).norm() / theirs[n].norm().clamp(min=1e-12)) for n in theirs)


def interleave(ours: Callable[[], None], theirs: Callable[[], None], runs: int) -> list[list[float]]:
    """Returns the seconds of `runs` turns of each."""
    times: list[list[float]] = [[], []]
    for turn in range(-1, runs):  # the first turn is the warm-up
        for side, work in enumerate((ours, theirs)):
            start = time.perf_counter()
            work()
            if turn >= 0:
                times[side].append(time.perf_counter() - start)
    return times


def report(title: str, times: list[list[float]]) -> dict[str, Any]:
    """Prints medians and 10th percentiles with their ratios, and returns them."""
    cuts = [quantiles(side, n=10, method="inclusive") for side in times]
    median, p10 = [c[4] for c in cuts], [c[0] for c in cuts]
    print(
        f"{title:34s} ours {median[0] * 1e3:8.1f} ms, transcribed {median[1] * 1e3:8.1f} ms, "
        f"{median[1] / median[0]:.2f} x (10th percentile {p10[1] / p10[0]:.2f} x)"
    )
    keys = ("ours", "transcribed")
    return {
        "name": title,
        "median_ms": dict(zip(keys, (m * 1e3 for m in median), strict=True)),
        "p10_ms": dict(zip(keys, (p * 1e3 for p in p10), strict=True)),
        "speedup": median[1] / median[0],
    }


def main() -> None:
    """Runs both benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="cifar10/resnet20_bireal_1w1a")
    parser.add_argument("--rotation-arch", default="cifar10/resnet18_1w1a")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    network = build(arguments.arch)
    images = torch.randn(arguments.batch, *get_architecture(arguments.arch).family.input_shape)
    labels = torch.randint(10, (arguments.batch,))
    check_gradients(network, images, labels)
    ours, theirs = (Step(n, images, labels) for n in (network, transcribed(network)))
    results = [report(f"step of {arguments.arch}", interleave(ours, theirs, arguments.runs))]

    network = build(arguments.rotation_arch)
    copied = transcribed(network)
    updates = interleave(lambda: update_rotations(network), lambda: update_rotations(copied), arguments.runs)
    results.append(report(f"rotations of {arguments.rotation_arch}", updates))
    if arguments.json is not None:
        threads, batch = arguments.threads, arguments.batch
        arguments.json.write_text(
            json.dumps({"threads": threads, "batch": batch, "results": results}, indent=2)
        )


if __name__ == "__main__":
    main()
