"""The rotated binary convolution, the layer of which rotated binary networks consist.

Lin et al., "Rotated Binary Neural Network", NeurIPS 2020 (arXiv 2009.13055). Where the paper and the code
that produced its numbers differ, this follows the code.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.common_types import _size_2_t

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes, Threshold
from rbnn_deploy.pytorch.layers.binary_layer import BinaryLayer, check_zero_padding, conv2d_attributes
from rbnn_deploy.pytorch.layers.rotation import learn_rotation, rotate, rotation_sizes
from rbnn_deploy.pytorch.layers.signs import (
    SignGradient,
    binary_sign,
    sample_mean,
    standardize,
    standardized_sign,
    trainable_sign,
)

# Where a layer's angle starts: the paper's pi / 2 is for hundreds of epochs (docs/training.md).
START_ANGLE = 0.4
PAPER_ANGLE = math.pi / 2
# Below this share of their gradient, weights do not learn: float32 rounds 1 - sin(pi / 2) to 0.
DEAD_SHARE = 1e-6


class RotatedBinaryConv2d(nn.Conv2d, BinaryLayer):
    """A convolution of the signs of its input with the signs of its rotated weights, scaled per channel.

    With w the standardised weights, w_r = R1^T w R2 their rotation, s = |sin(rotate)| and x the input:

        y = (conv(sign(x - mean(x)), sign((1 - s) * w + s * w_r)) + bias) * alpha

    where mean is over one sample's C, H and W. Zero padding comes after the sign: a padded tap adds nothing.

    In training mode both signs have the gradient that `signs` describes; w_r is detached, w is not.
    At rotate = pi/2, where the paper's recipe starts, the factor 1 - s is 0: neither `weight` nor `rotate`
    gets a gradient, and only weight decay moves `rotate` away. A layer starts at 0.4, where both learn from
    the first step, and warns once if a training begins without a gradient.
    Evaluation mode is not differentiable, gives a defined result for every input, and convolves integers,
    which is exact; training mode convolves multiples of alpha and rounds their sums.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        stride: As `torch.nn.Conv2d` has it.
        padding: As `torch.nn.Conv2d` has it, "same" and "valid" included.
        dilation: As `torch.nn.Conv2d` has it.
        groups: As `torch.nn.Conv2d` has it.
        bias: Whether a bias is added, before the multiplication with alpha.
        padding_mode: Only "zeros".
        device: Where the parameters are.
        dtype: Type of the parameters.
        threshold: The value that activations are compared with: "sample_mean", or "zero" for a plain sign
            (and then the input is not divided by its deviation either).

    Attributes:
        weight: [O, C / groups, KH, KW].
        alpha: [O, 1, 1], the scale; starts at mean(|weight|).
        rotate: [O, 1, 1, 1], the angle theta; starts at 0.4.
        R1: [p, p], a buffer; starts as a random orthogonal matrix.
        R2: [q, q], likewise, where p * q = C / groups * KH * KW.
        sign_gradient: The gradient of the weights' sign; follows the epoch, see `set_training_progress`.
    """

    R1: Tensor
    R2: Tensor
    parameter_groups: ClassVar[Mapping[str, str]] = {"weight": "binary", "rotate": "angle", "alpha": "scale"}
    sign_of_zero: ClassVar[int] = 0  # in the reference implementation, whose checkpoints have no other mark
    # Of modules that were pickled whole by an earlier version, neither is known.
    _gradient_checked = True
    _rotation_learned = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _size_2_t,
        stride: _size_2_t = 1,
        padding: str | _size_2_t = 0,
        dilation: _size_2_t = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        threshold: Threshold = "sample_mean",
    ) -> None:
        """Raises ValueError where torch.nn.Conv2d does, and for other padding modes and thresholds."""
        check_zero_padding(padding_mode)
        if threshold not in get_args(Threshold):
            raise ValueError(f"threshold must be one of {', '.join(get_args(Threshold))}, not {threshold!r}")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device=device,
            dtype=dtype,
        )
        self.threshold: Threshold = threshold
        self.sign_gradient = SignGradient.at_epoch(0, 1)
        p, q = rotation_sizes(self.weight[0].numel())
        self.alpha = nn.Parameter(self.weight.new_empty(out_channels, 1, 1))
        self.rotate = nn.Parameter(self.weight.new_empty(out_channels, 1, 1, 1))
        self.register_buffer("R1", self.weight.new_empty(p, p))
        self.register_buffer("R2", self.weight.new_empty(q, q))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights and rotations and sets the scale and the angle to their initial values."""
        super().reset_parameters()
        if not hasattr(self, "alpha"):  # nn.Conv2d's constructor calls this before they exist
            return
        with torch.no_grad():
            self.alpha.copy_(self.weight.abs().mean((1, 2, 3)).reshape(self.alpha.shape))
            self.rotate.fill_(START_ANGLE)
            nn.init.orthogonal_(self.R1)
            nn.init.orthogonal_(self.R2)
        self._gradient_checked = self._rotation_learned = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        """Convolves the signs.

        Args:
            input: float [N, C, H, W].

        Returns:
            [N, O, OH, OW].
        """
        if input.dtype.itemsize < self.weight.dtype.itemsize:  # mixed precision: signs are of whole values
            input = input.to(self.weight.dtype)  # noqa: A001
        if self.training:
            if not self._gradient_checked and not torch.compiler.is_compiling():
                self._check_gradient()
            binarise = standardized_sign if self.threshold == "sample_mean" else trainable_sign
            # Autocast would round the rotation's products, and with them flip bits; the convolution may.
            with torch.autocast(input.device.type, enabled=False):
                activations = binarise(input, self.sign_gradient.for_activations)
                weights = trainable_sign(self._adjusted(standardize(self.weight)), self.sign_gradient)
                # Scaled before the convolution, alpha and its gradient cost no pass over the map.
                weights = weights * self.alpha[..., None]
                bias = None if self.bias is None else self.bias * self.alpha.flatten()
            return self._convolve(activations, weights, bias)
        # The deviation is positive, so it cancels in the sign; left out, equal activations are no NaN.
        activations = binary_sign(input, sample_mean(input) if self.threshold == "sample_mean" else 0.0)
        weights = binary_sign(self.effective_weight()).to(input.dtype)
        return self._convolve(activations, weights, self.bias) * self.alpha

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        return conv2d_attributes(self, self.threshold)

    @property
    def affine(self) -> ChannelAffine:
        """See `BinaryLayer`: alpha (acc + bias) = alpha acc + alpha bias."""
        alpha = self.alpha.detach().cpu().numpy().astype(np.float64).reshape(-1)
        offset = np.zeros_like(alpha) if self.bias is None else alpha * self.bias.detach().cpu().numpy()
        return ChannelAffine(alpha, offset)

    @torch.no_grad()
    def effective_weight(self) -> Tensor:
        """Returns the values whose signs are the binary weights: (1 - s) * w + s * R1^T w R2.

        They are computed in float64, so that the bits do not depend on the device or the order of a sum, and
        w is only centred: its deviation is positive and cancels in the sign.

        Returns:
            float64 [O, C / groups, KH, KW].
        """
        weight = self.weight.double()
        return self._adjusted(weight - weight.mean((1, 2, 3), keepdim=True))

    def set_sign_gradient(self, gradient: SignGradient) -> None:
        """See `BinaryLayer`."""
        self.sign_gradient = gradient

    def begin_epoch(self) -> None:
        """See `BinaryLayer`: learns the rotation."""
        self.update_rotation()

    @torch.no_grad()
    def update_rotation(self) -> None:
        """Learns R1 and R2 for the present weights; the method does it at the beginning of every epoch."""
        R1, R2 = learn_rotation(standardize(self.weight), self.R1, self.R2)
        self.R1.copy_(R1)
        self.R2.copy_(R2)
        self._rotation_learned = True

    def untrained(self) -> str:
        """See `BinaryLayer`."""
        if self._rotation_learned:
            return ""
        return (
            "the rotations were never learned and are still random; call "
            "rbnn_deploy.begin_epoch(module, epoch, epochs) at the beginning of every epoch"
        )

    def extra_repr(self) -> str:
        """Returns the constructor's arguments for printing."""
        return f"{super().extra_repr()}, threshold={self.threshold!r}"  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        # A checkpoint does not say whether its rotations were learned.
        self._rotation_learned |= f"{prefix}R1" in state_dict

    def _check_gradient(self) -> None:
        """Warns if no gradient reaches the weights; looked at once, since a GPU must be waited for."""
        if not (torch.is_grad_enabled() and self.weight.requires_grad):
            return
        self._gradient_checked = True
        share = (1 - self.rotate.detach().sin().abs()).max()
        if share.item() < DEAD_SHARE:
            # The text names no layer, so that Python shows it once for all of them.
            warnings.warn(
                "the weights of a RotatedBinaryConv2d get no gradient, since its angles are at pi/2, the "
                "start of the paper's recipe; call set_rotation_angle(module, 0.4) before the training",
                stacklevel=2,
            )

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def _adjusted(self, w: Tensor) -> Tensor:
        """Moves w towards its rotation by |sin(rotate)|; no gradient goes through the rotation itself."""
        rotated = rotate(w.detach(), self.R1.to(w.dtype), self.R2.to(w.dtype))
        return w + self.rotate.to(w.dtype).sin().abs() * (rotated - w)


def binary_convolution(layer: nn.Conv2d) -> RotatedBinaryConv2d:
    """Builds the rotated binary convolution that starts from a convolution.

    Its weights are copied, its scale is the mean of their magnitudes, and its bias, which is scaled too, adds
    what the convolution's added.

    Args:
        layer: The convolution.
    """
    binary = RotatedBinaryConv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        layer.groups,
        layer.bias is not None,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )
    with torch.no_grad():
        binary.weight.copy_(layer.weight)
        alpha = layer.weight.abs().mean((1, 2, 3))
        binary.alpha.copy_(alpha.view_as(binary.alpha))
        if binary.bias is not None and layer.bias is not None:
            binary.bias.copy_(torch.where(alpha > 0, layer.bias / alpha, 0))
    return binary.train(layer.training)


def rotated_layers(module: nn.Module) -> Iterator[tuple[str, RotatedBinaryConv2d]]:
    """Yields the rotated layers of a module with their names, in the order of definition."""
    for name, layer in module.named_modules():
        if isinstance(layer, RotatedBinaryConv2d):
            yield name, layer


def update_rotations(module: nn.Module) -> None:
    """Learns the rotations of all rotated layers for their present weights."""
    for _, layer in rotated_layers(module):
        layer.update_rotation()


def accept_angles(module: nn.Module) -> None:
    """Keeps a training that chose its angles, as the paper's recipe does, from being warned of them."""
    for _, layer in rotated_layers(module):
        layer._gradient_checked = True


@torch.no_grad()
def set_rotation_angle(module: nn.Module, theta: float = PAPER_ANGLE) -> None:
    """Sets the angle of all channels of all rotated layers.

    At the paper's pi / 2 no gradient reaches the weights until weight decay has moved the angle, which takes
    hundreds of epochs' worth of steps; a training of a few epochs starts at an angle like 0.4.
    """
    for _, layer in rotated_layers(module):
        layer.rotate.fill_(theta)
