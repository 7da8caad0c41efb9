"""The subjects of a comparison, behind one interface: a deployed model in a runtime, or a PyTorch module."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes import Runtime
from rbnn_deploy.runtimes.numpy_backend.threshold import thresholds

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
    """One run of one subject with the inputs of its binary layers.

    Attributes:
        logits: float32 [N, classes].
        inputs: By layer name, in no order.
        residuals: float32 [N, OH, OW, O] by layer name, for layers that have one; not for torch.
    """

    logits: Float32
    inputs: dict[str, Binarised]
    residuals: dict[str, Float32]


@dataclass(frozen=True)
class Replay:
    """A run in which the binary layers were given another subject's inputs (`replaying`).

    Attributes:
        logits: float32 [N, classes].
        own: float32 [N, H, W, C] by layer name: the input that the layer would have had.
    """

    logits: Float32
    own: dict[str, Float32]


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
        inputs: dict[str, Binarised] = {}

        def record(name: str, rule: str, given: Tensor) -> None:
            inputs[name] = _binarise(given, rule)

        return Trace(self._run_hooked(x, record), inputs, {})

    def replay(self, x: Float32, recorded: Trace) -> Replay:
        """Repeats a run with the binary layers' inputs that another subject had (`replaying`).

        Args:
            x: float32 [N, C, H, W], the samples of the trace.
            recorded: The other subject's results for them.
        """
        import torch  # noqa: PLC0415 - as above

        own: dict[str, Float32] = {}

        def replace(name: str, _: str, given: Tensor) -> Tensor | None:
            own[name] = _channels_last(given)
            if name not in recorded.inputs:
                return None
            return torch.from_numpy(recorded.inputs[name].x).permute(0, 3, 1, 2).contiguous()

        return Replay(self._run_hooked(x, replace), own)

    def _run_hooked(self, x: Float32, visit: Callable[[str, str, Tensor], Tensor | None]) -> Float32:
        """Runs the module; `visit` sees each binary layer's name, rule and input, and may replace that."""
        from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d  # noqa: PLC0415 - as above
        from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d  # noqa: PLC0415

        calls: Counter[str] = Counter()

        def hook(name: str, rule: str, _: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            calls[name] += 1
            replaced = visit(name if calls[name] == 1 else f"{name}#{calls[name]}", rule, arguments[0])
            return None if replaced is None else (replaced, *arguments[1:])

        hooks = []
        for name, child in self._module.named_modules():
            if isinstance(child, RotatedBinaryConv2d):
                hooks.append(child.register_forward_pre_hook(partial(hook, name, child.threshold)))
            elif isinstance(child, BinaryConv2d):
                rule = child.attributes.threshold
                hooks.append(child.register_forward_pre_hook(partial(hook, name, rule)))
        try:
            return self.run(x)
        finally:
            for handle in hooks:
                handle.remove()


def _binarise(x: Tensor, rule: str) -> Binarised:
    """Takes a torch layer's threshold as the layer does."""
    from rbnn_deploy.pytorch.layers.signs import sample_mean  # noqa: PLC0415 - as above

    x = x.detach()
    t = sample_mean(x).flatten().numpy() if rule == "sample_mean" else np.zeros(len(x), np.float32)
    return Binarised(_channels_last(x), t)


def _channels_last(x: Tensor) -> Float32:
    return np.ascontiguousarray(x.detach().permute(0, 2, 3, 1).numpy())
