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
from rbnn_deploy.pytorch.layers import binary_layers
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

        def record(name: str, rule: str, given: Tensor) -> None:
            inputs[name] = _binarise(given, rule)

        return Trace(self._run_hooked(x, record), inputs, {})

    def replay(self, x: Feeds, recorded: Trace) -> Replay:
        """See `Judge`."""
        own: dict[str, Float32] = {}

        def replace(name: str, _: str, given: Tensor) -> Tensor | None:
            own[name] = _channels_last(given)
            if name not in recorded.inputs:
                return None
            return torch.from_numpy(recorded.inputs[name].x).permute(0, 3, 1, 2).contiguous()

        return Replay(self._run_hooked(x, replace), own)

    def _run_hooked(self, x: Feeds, visit: Callable[[str, str, Tensor], Tensor | None]) -> dict[str, Float32]:
        """Runs the module; `visit` sees each binary layer's name, rule and input, and may replace that."""
        calls: Counter[str] = Counter()

        def hook(name: str, rule: str, _: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            calls[name] += 1
            replaced = visit(name if calls[name] == 1 else f"{name}#{calls[name]}", rule, arguments[0])
            return None if replaced is None else (replaced, *arguments[1:])

        hooks = []
        for name, layer in binary_layers(self._module):
            rule = layer.attributes.threshold
            hooks.append(layer.register_forward_pre_hook(partial(hook, name, rule)))
        try:
            return self.run(x)
        finally:
            for handle in hooks:
                handle.remove()


def _binarise(x: Tensor, rule: str) -> Binarised:
    """Takes a torch layer's threshold as the layer does."""
    x = x.detach()
    t = sample_mean(x).flatten().numpy() if rule == "sample_mean" else np.zeros(len(x), np.float32)
    return Binarised(_channels_last(x), t)


def _channels_last(x: Tensor) -> Float32:
    return np.ascontiguousarray(x.detach().permute(0, 2, 3, 1).numpy())
