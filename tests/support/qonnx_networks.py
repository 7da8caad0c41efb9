"""Random binary networks whose float steps are exact in any order, and the qonnx package as their judge.

Images and the stem's weights are small multiples of powers of two, so the stem's sums are exact in float32.
All that follows is computed element by element, or on integers. So two correct programs give equal outputs,
and not only close ones.
"""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.bits import pack_signs
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.pytorch.folding import BinaryConv2d
from rbnn_deploy.pytorch.networks.blocks import LearnableBias

QONNX_MISSING = "the qonnx package is not installed; run: pip install 'rbnn-deploy[dev]'"
SIZE = 9


def run_qonnx(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Runs a model by the qonnx package, one sample after the other.

    Args:
        model: Of batch one; it is not changed.
        x: float32 [N, ...].

    Returns:
        The first output, [N, ...].
    """
    pytest.importorskip("qonnx", reason=QONNX_MISSING)
    from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415 - not installed everywhere
    from qonnx.core.onnx_exec import execute_onnx  # noqa: PLC0415

    wrapper = ModelWrapper(model, make_deepcopy=True)
    name, output = model.graph.input[0].name, model.graph.output[0].name
    return np.concatenate([execute_onnx(wrapper, {name: sample[None]})[output] for sample in x])


def images(rng: np.random.Generator, count: int, channels: int, size: int = SIZE) -> np.ndarray:
    """Draws float32 [count, channels, size, size], multiples of 1/8 between -1 and 1."""
    return rng.integers(-8, 9, (count, channels, size, size)).astype(np.float32) / 8


def binary_conv(
    rng: np.random.Generator, channels: int, outputs: int, groups: int, **options: object
) -> BinaryConv2d:
    """Draws a folded layer; negative scales among them."""
    kernel = tuple(int(k) for k in rng.integers(1, 4, 2))
    attributes = BinaryConv2dAttributes(
        channels,
        strides=tuple(int(s) for s in rng.integers(1, 3, 2)),
        pads=tuple(int(p) for p in rng.integers(1, 3, 4)),
        groups=groups,
        threshold=str(rng.choice(["sample_mean", "zero"])),
        **options,
    )
    signs = rng.standard_normal((outputs, *kernel, channels // groups))
    affine = ChannelAffine(rng.standard_normal(outputs) / 4, rng.standard_normal(outputs) / 4)
    return BinaryConv2d(attributes, torch.from_numpy(pack_signs(signs)), affine)


class RandomNetwork(nn.Module):
    """A float stem, then binary layers of any geometry with residuals, activations, pools and shifts between.

    Args:
        seed: Of everything.

    Attributes:
        channels: Of its input.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.channels, C = int(rng.integers(1, 4)), int(rng.choice([1, 8, 12, 33]))
        self.stem = nn.Conv2d(self.channels, C, 3, padding=1)
        for parameter in self.stem.parameters():
            values = rng.integers(-4, 5, parameter.shape).astype(np.float32) / 4
            parameter.data = torch.from_numpy(values)
        self.layers, self.shifts = nn.ModuleList(), nn.ModuleList()
        self.steps: list[str] = []
        for _ in range(int(rng.integers(1, 5))):
            groups = int(rng.choice([g for g in (1, 1, 2, 3, C) if C % g == 0]))
            outputs = groups * int(rng.integers(1, 1 + max(1, 36 // groups)))
            shift = LearnableBias(C) if rng.random() < 0.4 else nn.Identity()
            for parameter in shift.parameters():
                parameter.data = torch.from_numpy(rng.standard_normal(parameter.shape).astype(np.float32))
            self.shifts.append(shift)
            self.layers.append(binary_conv(rng, C, outputs, groups))
            self.steps.append(str(rng.choice(["none", "relu", "hardtanh", "leaky_relu", "max_pool"])))
            C = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Computes float32 [N, C, H, W] -> [N, K]."""
        x = self.stem(x)
        for shift, layer, step in zip(self.shifts, self.layers, self.steps, strict=True):
            y = layer(shift(x))
            y = y + x if y.shape == x.shape else y
            if step == "max_pool":
                y = F.max_pool2d(y, 2, padding=1)
            elif step != "none":
                y = getattr(F, step)(y)
            x = y
        return x.flatten(1)
