"""Writes small checkpoints as the reference implementation does, with weights that look trained.

Keys and shapes stand here as the reference's code makes them; nothing of our networks is used.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from support.reference_inference import Array, State, batch_norm, resnet20

MODELS = ("resnet20_1w1a", "resnet20_bireal_1w1a")
CLASSES = 10


def images(count: int, seed: int) -> NDArray[np.float32]:
    """Draws normalised images, float32 [count, 3, 32, 32], in which neighbours resemble each other."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((count, 3, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)
    return (coarse + 0.5 * rng.standard_normal((count, 3, 32, 32))).astype(np.float32)


def rotation(rng: np.random.Generator, size: int) -> NDArray:
    """Draws an orthogonal matrix."""
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def binary_convolution(rng: np.random.Generator, name: str, inputs: int, outputs: int) -> dict[str, NDArray]:
    """Draws the entries of a 3 x 3 layer: angles on their way down from pi / 2, most alphas near mean |W|."""
    fan_in = inputs * 9
    weight = rng.standard_normal((outputs, inputs, 3, 3)) / np.sqrt(fan_in)
    p = max(d for d in range(1, fan_in + 1) if fan_in % d == 0 and d * d <= fan_in)
    return {
        f"{name}.weight": weight,
        f"{name}.alpha": np.abs(weight).mean((1, 2, 3)).reshape(-1, 1, 1)
        * rng.normal(1, 0.2, (outputs, 1, 1)),
        f"{name}.rotate": rng.uniform(0.3, 1.6, (outputs, 1, 1, 1)),
        f"{name}.R1": rotation(rng, p),
        f"{name}.R2": rotation(rng, fan_in // p),
    }


def norm(rng: np.random.Generator, name: str, channels: int) -> dict[str, NDArray]:
    """Draws a BatchNorm, a third of whose gammas are negative; its statistics come later."""
    return {
        f"{name}.weight": rng.normal(0.3, 0.6, channels),
        f"{name}.bias": rng.normal(0, 0.3, channels),
        f"{name}.running_mean": np.zeros(channels),
        f"{name}.running_var": np.ones(channels),
        f"{name}.num_batches_tracked": np.int64(2340),
    }


def with_statistics(state: State, name: str, x: Array) -> Array:
    """Gives a BatchNorm the statistics of what it sees."""
    axes = (0, *range(2, x.ndim))
    state[f"{name}.running_mean"][:] = x.mean(axes)
    state[f"{name}.running_var"][:] = x.var(axes, ddof=1)
    return batch_norm(state, name, x)


def draw_state(model: str, seed: int) -> dict[str, NDArray]:
    """Draws a state dict in the order of the reference's; float32, and int64 for `num_batches_tracked`."""
    rng = np.random.default_rng(seed)
    state = {"conv1.weight": rng.standard_normal((16, 3, 3, 3)) / np.sqrt(27), **norm(rng, "bn1", 16)}
    inputs = 16
    for stage, planes in enumerate((16, 32, 64), 1):
        for index in range(3):
            for number in (1, 2):
                name = f"layer{stage}.{index}"
                state |= binary_convolution(rng, f"{name}.conv{number}", inputs, planes)
                state |= norm(rng, f"{name}.bn{number}", planes)
                inputs = planes
    state |= norm(rng, "bn2", 64)
    state["linear.weight"] = rng.standard_normal((CLASSES, 64)) / 4
    state["linear.bias"] = rng.standard_normal(CLASSES) / 4
    resnet20(state, images(8, seed), bireal="bireal" in model, norm=with_statistics)
    return {
        key: value if key.endswith("num_batches_tracked") else value.astype(np.float32)
        for key, value in state.items()
    }


def write_checkpoint(path: Path, model: str, state: State, *, parallel: bool) -> None:
    """Writes a checkpoint.

    Args:
        path: Target.
        model: The reference's name of the network.
        state: What `draw_state` returns.
        parallel: Whether keys start with `module.`, as DataParallel leaves them.
    """
    prefix = "module." if parallel else ""
    tensors = OrderedDict((prefix + key, torch.tensor(value)) for key, value in state.items())
    buffers = ("R1", "R2", "running_mean", "running_var", "num_batches_tracked")
    parameters = [torch.nn.Parameter(value) for key, value in tensors.items() if not key.endswith(buffers)]
    content = {
        "epoch": 12,
        "model": model,
        "state_dict": tensors,
        "best_prec1": 45.66,
        "parameters": parameters,
    }
    torch.save(content, path)
