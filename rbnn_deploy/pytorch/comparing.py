"""The PyTorch module as a subject of a comparison (rbnn_deploy.comparing)."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbnn_deploy.comparing.traces import TORCH, Binarised, Feeds, Float32, Replay, Trace
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.folding.user_code import copied
from rbnn_deploy.pytorch.layers import BinaryLayer, binary_layers
from rbnn_deploy.pytorch.layers.signs import sample_mean
from rbnn_deploy.pytorch.module_inputs import bind
from rbnn_deploy.pytorch.outputs import tensors
from rbnn_deploy.signature import Signature


class TorchSubject:
    """The PyTorch module in evaluation mode; hooks in front of its binary layers record their inputs.

    Args:
        module: The module that was exported, before or after folding; it is copied.
        signature: The inputs and outputs of the model that it was exported to.
    """

    name = TORCH

    def __init__(self, module: nn.Module, signature: Signature) -> None:
        self._module = copied(module).eval()
        self._names = [spec.name for spec in signature.outputs]

    def run(self, x: Feeds) -> dict[str, Float32]:
        """See `Subject`."""
        feeds = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in x.items()}
        arguments, keywords = bind(self._module, feeds)
        with torch.no_grad():
            returned = tensors(self._module(*arguments, **keywords))
        if len(returned) != len(self._names):
            raise UserError(
                f"the module returns {len(returned)} tensors and the model {len(self._names)}; compare a "
                "model with the checkpoint that it was exported from"
            )
        return {name: value.numpy() for name, value in zip(self._names, returned, strict=True)}

    def trace(self, x: Feeds) -> Trace:
        """See `Subject`; the thresholds are taken as the layers in torch take them."""
        inputs: dict[str, Binarised] = {}

        def record(name: str, layer: BinaryLayer, given: Tensor) -> None:
            inputs[name] = _binarise(given, layer)

        return Trace(self._run_hooked(x, record), inputs, {})

    def replay(self, x: Feeds, recorded: Trace) -> Replay:
        """See `Judge`."""
        own: dict[str, Float32] = {}

        def replace(name: str, layer: BinaryLayer, given: Tensor) -> Tensor | None:
            own[name] = _channels_last(_shifted(given, layer))
            if name not in recorded.inputs:
                return None
            x = torch.from_numpy(recorded.inputs[name].x).permute(0, 3, 1, 2).contiguous()
            return _restored(x, layer)

        return Replay(self._run_hooked(x, replace), own)

    def _run_hooked(
        self, x: Feeds, visit: Callable[[str, BinaryLayer, Tensor], Tensor | None]
    ) -> dict[str, Float32]:
        """Runs the module; `visit` sees each binary layer with its name and input, and may replace that."""
        calls: Counter[str] = Counter()

        def hook(name: str, layer: BinaryLayer, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            calls[name] += 1
            replaced = visit(name if calls[name] == 1 else f"{name}#{calls[name]}", layer, arguments[0])
            return None if replaced is None else (replaced, *arguments[1:])

        hooks = []
        for name, layer in binary_layers(self._module):
            hooks.append(layer.register_forward_pre_hook(partial(hook, name)))
        try:
            return self.run(x)
        finally:
            for handle in hooks:
                handle.remove()


def _binarise(x: Tensor, layer: BinaryLayer) -> Binarised:
    """Takes a torch layer's threshold as the layer does."""
    x = _shifted(x.detach(), layer)
    of_sample = layer.attributes.threshold == "sample_mean"
    t = sample_mean(x).flatten().numpy() if of_sample else np.zeros(len(x), np.float32)
    return Binarised(_channels_last(x), t)


def _shifted(x: Tensor, layer: BinaryLayer) -> Tensor:
    """Returns the values whose comparison with the rule's threshold gives the bits."""
    thresholds = layer.thresholds
    return x if thresholds is None else x - thresholds.view(-1, 1, 1)


def _restored(x: Tensor, layer: BinaryLayer) -> Tensor:
    """Returns an input that has the bits of shifted values: on its threshold, or next to it."""
    if (thresholds := layer.thresholds) is None:
        return x
    t = thresholds.view(-1, 1, 1)
    return torch.where(x >= 0, t, torch.nextafter(t, torch.tensor(-torch.inf)))


def _channels_last(x: Tensor) -> Float32:
    return np.ascontiguousarray(x.detach().permute(0, 2, 3, 1).numpy())
