"""What is compared: a deployed model in one runtime, or the PyTorch module, behind one interface."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rbnn_deploy.comparing.layers import BinaryLayer
from rbnn_deploy.errors import UserError
from runtimes import Runtime
from runtimes.numpy_backend.threshold import thresholds

if TYPE_CHECKING:
    from torch import Tensor, nn

Float32 = npt.NDArray[np.float32]

TORCH = "torch"


@dataclass(frozen=True)
class Binarised:
    """One layer's input as one subject had it, for a batch.

    Attributes:
        x: float32 [N, H, W, C].
        t: float32 [N], the thresholds by the subject's own rule.
    """

    x: Float32
    t: Float32

    @property
    def bits(self) -> npt.NDArray[np.bool_]:
        """Bool [N, H, W, C]: `x >= t`."""
        return np.greater_equal(self.x, self.t.reshape(-1, 1, 1, 1))


@dataclass(frozen=True)
class Trace:
    """One run of one subject with what its binary layers were given.

    Attributes:
        logits: float32 [N, classes].
        inputs: By layer name, in no order.
        residuals: float32 [N, OH, OW, O] by layer name, for layers that have one; not for torch.
    """

    logits: Float32
    inputs: dict[str, Binarised]
    residuals: dict[str, Float32]


class Subject(Protocol):
    """Something that maps images to logits through the layers that are compared."""

    name: str

    def run(self, x: Float32) -> Float32:
        """Computes the logits of float32 [N, C, H, W]."""

    def trace(self, x: Float32) -> Trace:
        """Computes the logits and keeps the binary layers' inputs."""


class RuntimeSubject:
    """A deployed model in a runtime.

    Args:
        runtime: The loaded model.
        layers: Its binary layers.
    """

    def __init__(self, runtime: Runtime, layers: list[BinaryLayer]) -> None:
        self.name = runtime.name
        self._runtime = runtime
        self._layers = layers

    def run(self, x: Float32) -> Float32:
        """See `Subject`."""
        return self._runtime.run(x)

    def trace(self, x: Float32) -> Trace:
        """See `Subject`; the thresholds are the specification's."""
        names = [name for layer in self._layers for name in (layer.x, layer.residual) if name is not None]
        output = self._runtime.output_name
        found = self._runtime.run_with(x, [output, *names])
        return Trace(
            logits=found[output],
            inputs={
                layer.name: Binarised(found[layer.x], thresholds(found[layer.x], layer.attributes.threshold))
                for layer in self._layers
            },
            residuals={
                layer.name: found[layer.residual] for layer in self._layers if layer.residual is not None
            },
        )


class TorchSubject:
    """The PyTorch module in evaluation mode; hooks in front of its binary layers record their inputs.

    Args:
        module: The module that was exported, before or after folding; it is copied.
    """

    name = TORCH

    def __init__(self, module: nn.Module) -> None:
        self._module = copy.deepcopy(module).eval()

    def run(self, x: Float32) -> Float32:
        """See `Subject`."""
        import torch  # noqa: PLC0415 - comparing runtimes with each other does without torch

        with torch.no_grad():
            logits = self._module(torch.from_numpy(np.ascontiguousarray(x)))
        if not isinstance(logits, torch.Tensor):
            raise UserError(
                f"the module returns {type(logits).__name__}; compare one that returns its logits"
            )
        result: Float32 = logits.numpy()
        return result

    def trace(self, x: Float32) -> Trace:
        """See `Subject`; the thresholds are taken as the layers in torch take them."""
        from rbnn_deploy.folding.binary_conv2d import BinaryConv2d  # noqa: PLC0415 - as above
        from rbnn_deploy.layers import RotatedBinaryConv2d  # noqa: PLC0415

        calls: Counter[str] = Counter()
        inputs: dict[str, Binarised] = {}

        def record(name: str, rule: str, _: nn.Module, arguments: tuple[Any, ...]) -> None:
            calls[name] += 1
            key = name if calls[name] == 1 else f"{name}#{calls[name]}"
            inputs[key] = _binarise(arguments[0], rule)

        hooks = []
        for name, child in self._module.named_modules():
            if isinstance(child, RotatedBinaryConv2d):
                hooks.append(child.register_forward_pre_hook(partial(record, name, child.threshold)))
            elif isinstance(child, BinaryConv2d):
                rule = child.attributes.threshold
                hooks.append(child.register_forward_pre_hook(partial(record, name, rule)))
        try:
            logits = self.run(x)
        finally:
            for hook in hooks:
                hook.remove()
        return Trace(logits, inputs, {})


def _binarise(x: Tensor, rule: str) -> Binarised:
    """Takes a torch layer's threshold as the layer does."""
    from rbnn_deploy.layers.signs import sample_mean  # noqa: PLC0415 - as above

    x = x.detach()
    t = sample_mean(x).flatten().numpy() if rule == "sample_mean" else np.zeros(len(x), np.float32)
    return Binarised(np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy()), t)
