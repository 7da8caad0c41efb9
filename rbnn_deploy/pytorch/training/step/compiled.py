"""Helps a step to compile once: numbers that change with the epoch must be tensors.

torch.compile makes a program for the values of the Python numbers that it meets, and makes another one when
they change; it gives up after a few. It takes tensors as inputs.
"""

from typing import cast

import torch
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import SignGradient, binary_layers


class _TensorSignGradient(SignGradient):
    """A `SignGradient` whose t and k are tensors without axes."""

    @property
    def for_activations(self) -> SignGradient:
        t, k = cast(Tensor, self.t), cast(Tensor, self.k)
        return _tensor_gradient(t.clamp_min(1.0), torch.ones_like(k))


def _tensor_gradient(t: Tensor, k: Tensor) -> SignGradient:
    return _TensorSignGradient(cast(float, t), cast(float, k))


class CompiledGradient:
    """The sign's gradient of a compiled module's binary layers.

    Args:
        module: The module that is compiled.
        device: Where it is.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._layers = [layer for _, layer in binary_layers(module)]
        self._t, self._k = torch.ones((), device=device), torch.ones((), device=device)
        self._gradient = _tensor_gradient(self._t, self._k)

    def set(self, gradient: SignGradient) -> None:
        """Sets an epoch's gradient; the compiled code stays."""
        self._t.fill_(gradient.t)
        self._k.fill_(gradient.k)
        for layer in self._layers:
            layer.set_sign_gradient(self._gradient)
