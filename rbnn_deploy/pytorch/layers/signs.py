"""The sign of a tensor, and the gradient that training puts in its place.

The derivative of sign is zero almost everywhere. The method trains with a triangle instead,
which is wide and flat at first and becomes narrow and steep as t grows over the epochs:

    d sign(x) / dx  ~  max(k * (sqrt(2) * t - t^2 * |x|), 0)

1. Weights use the schedule's t and k = max(1 / t, 1).
2. Activations use k = 1 and max(t, 1), so that their gradient is never narrower than at t = 1.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


def binary_sign(x: Tensor, threshold: Tensor | float = 0.0) -> Tensor:
    """Returns +1 where `x >= threshold` and -1 elsewhere, in the type and shape of `x`.

    Rule 2 of `rbnn_deploy.bits`: at the threshold the sign is +1, and a NaN's is -1. The reference uses
    `torch.sign`, whose 0 at an exact zero is no bit.
    """
    # In place on a copy: three times as fast as torch.where on a CPU.
    return x.detach().clone().ge_(threshold).mul_(2).sub_(1)


def sample_mean(x: Tensor) -> Tensor:
    """Returns the threshold of each sample: its mean, taken in float64 and rounded to the type of `x`.

    A float32 mean depends on the order of its sum, and that of equal values may exceed them.

    Args:
        x: [N, C, H, W].

    Returns:
        [N, 1, 1, 1].
    """
    return x.mean((1, 2, 3), keepdim=True, dtype=torch.float64).to(x.dtype)


@dataclass(frozen=True)
class SignGradient:
    """The triangle max(k * (sqrt(2) * t - t^2 * |x|), 0), sqrt(2) / t to each side and sqrt(2) * k * t high.

    Attributes:
        t: Sharpness, above 0.
        k: Height factor, above 0.
    """

    t: float
    k: float

    @classmethod
    def at_epoch(cls, epoch: float, epochs: float, t_min: float = 1e-2, t_max: float = 1e1) -> Self:
        """Returns the weights' gradient at an epoch: t rises from `t_min` to `t_max`, evenly in log(t).

        Args:
            epoch: Epochs done, from 0.
            epochs: Length of the training.
            t_min: t at epoch 0 (the paper writes 10^Tmin with Tmin = -2).
            t_max: t at the end (10^Tmax with Tmax = 1).

        Raises:
            ValueError: `epochs` is not above 0, or `epoch` is outside 0 .. `epochs`.
        """
        if not 0 <= epoch <= epochs or epochs <= 0:
            raise ValueError(f"epoch must be in 0 .. epochs and epochs above 0, not {epoch} and {epochs}")
        low, high = math.log10(t_min), math.log10(t_max)
        t = 10 ** (low + (high - low) * epoch / epochs)
        return cls(t=t, k=max(1 / t, 1.0))

    @property
    def for_activations(self) -> "SignGradient":
        """The gradient that activations use at the same epoch.

        The paper has one pair for both; the reference, which gave the published numbers, does this.
        """
        return SignGradient(t=max(self.t, 1.0), k=1.0)

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluates the triangle at every element of `x`."""
        return x.abs().mul_(-self.k * self.t**2).add_(self.k * math.sqrt(2) * self.t).clamp_(min=0)


class _TrainableSign(torch.autograd.Function):
    """`binary_sign` forward, `SignGradient` backward."""

    @staticmethod
    def forward(x: Tensor, gradient: SignGradient) -> Tensor:
        return binary_sign(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, SignGradient], output: Tensor) -> None:
        x, ctx.gradient = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad_outputs[0] * ctx.gradient(x), None


def trainable_sign(x: Tensor, gradient: SignGradient) -> Tensor:
    """Returns `binary_sign(x)`, differentiable with `gradient` in place of its derivative.

    Args:
        x: Values of any shape.
        gradient: The approximation of the sign's derivative for backpropagation.
    """
    sign: Tensor = _TrainableSign.apply(x, gradient)  # type: ignore[no-untyped-call]
    return sign


def standardize(x: Tensor) -> Tensor:
    """Subtracts the mean of each element of the first axis and divides by its (unbiased) standard deviation.

    Where all values are equal, the deviation is 0: the result is then 0 (the reference has NaN).

    Args:
        x: [N, ...].
    """
    centred = x - x.mean(tuple(range(1, x.ndim)), keepdim=True)
    return centred / _deviation(centred)


def standardized_sign(x: Tensor, gradient: SignGradient) -> Tensor:
    """Computes `trainable_sign(standardize(x), gradient)` in half the passes over memory.

    Args:
        x: [N, ...].
        gradient: The approximation of the sign's derivative for backpropagation.
    """
    sign: Tensor = _StandardizedSign.apply(x, gradient)  # type: ignore[no-untyped-call]
    return sign


class _StandardizedSign(torch.autograd.Function):
    """The sign of a = (x - mean) / std, over the n values of each sample.

    With d the gradient with respect to a, that of x is (d - mean(d) - a * sum(d * a) / (n - 1)) / std. The
    map is never divided: c = x - mean is kept, and std goes into the factors, one number per sample.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gradient: SignGradient) -> Tensor:
        mean = x.mean(tuple(range(1, x.ndim)), keepdim=True)
        # With +0 for a mean, x = -0 would be centred to -0, whose sign bit is set.
        centred = x - torch.where(mean == 0, -0.0, mean)
        ctx.gradient = gradient
        ctx.save_for_backward(centred, _deviation(centred))
        return centred.new_ones(()).copysign(centred)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        c, deviation = ctx.saved_tensors
        t, k = ctx.gradient.t, ctx.gradient.k
        height, slope = k * math.sqrt(2) * t / deviation, k * (t / deviation) ** 2
        d = torch.addcmul(height, c.abs(), -slope).clamp_(min=0).mul_(grad_outputs[0])  # d / std
        projection = torch.linalg.vecdot(_rows(d), _rows(c)).view_as(deviation)
        mean = d.mean(tuple(range(1, d.ndim)), keepdim=True)
        return d.addcmul_(c, projection / (-_freedom(c) * deviation**2)).sub_(mean), None


def _rows(x: Tensor) -> Tensor:
    """Returns the values of each sample in the order of memory, as a view of maps in either layout."""
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.flatten(1)


def _freedom(x: Tensor) -> int:
    """Returns n - 1 for n values per sample; 1 for a single one, which has no unbiased deviation."""
    return max(math.prod(x.shape[1:]) - 1, 1)


def _deviation(centred: Tensor) -> Tensor:
    """Returns each sample's standard deviation, or 1 where it is 0; twenty times as fast as torch.std."""
    norm = torch.linalg.vector_norm(centred, dim=tuple(range(1, centred.ndim)), keepdim=True)
    return torch.where(norm > 0, norm / math.sqrt(_freedom(centred)), 1.0)
