"""Makes a network of floats into a binary one, to be trained: its layers become binary ones."""

from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.folding.fold import unwrapped
from rbnn_deploy.pytorch.folding.user_code import check_initialised, code_around, copied
from rbnn_deploy.pytorch.layers import BinaryLayer, binary_convolution, binary_linear
from rbnn_deploy.pytorch.replacing import replace_modules

Choice = Collection[str] | Callable[[str, Any], bool]

_WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)


def binarize(
    model: nn.Module,
    *,
    include: Choice | None = None,
    exclude: Choice = (),
    keep_ends: bool | None = None,
    example: Tensor | None = None,
    make: Callable[[nn.Conv2d], BinaryLayer] | None = None,
    linears: bool = False,
) -> nn.Module:
    """Replaces convolutions of a network, and linear layers, by binary ones, which then have to be trained.

    Only the signs of weights and inputs are left, so the result computes something else than the network, and
    learns from there. Other layers stay: transposed convolutions, subclasses of Conv2d and Linear, and so the
    projections of torch.nn.MultiheadAttention.

    Args:
        model: The network; it is not changed.
        include: Names of layers, which may have the wildcards * and ?, or a function that takes a name
            and a layer and chooses it. None chooses all.
        exclude: Likewise, those that stay.
        keep_ends: Whether the first and the last layer with weights stay; None keeps them unless `include`
            chooses.
        example: One input, such as float [N, C, H, W]. With it the first and the last layer are those that
            run first and last, otherwise those that are defined first and last.
        make: Builds the binary layer for a convolution; None is `binary_convolution`.
        linears: Whether torch.nn.Linear is replaced too, by `binary_linear`.

    Returns:
        A copy with binary layers, whose weights are those of the layers before.

    Raises:
        UserError: No layer is left to replace; a name fits none, or one that cannot be replaced: it has
            hooks, or pads by other values than zeros.
    """
    check_initialised(model)
    network = copied(unwrapped(model))
    layers: dict[str, nn.Module] = {
        name: layer
        for name, layer in network.named_modules(remove_duplicate=False)
        if isinstance(layer, _WEIGHTED)
    }
    ends: list[nn.Module] = []
    if keep_ends or (keep_ends is None and include is None):
        order = list(layers.values()) if example is None else _run_order(network, layers, example)
        ends = [order[0], order[-1]] if order else []
    chosen: dict[nn.Module, str] = {}
    kinds = (nn.Conv2d, nn.Linear) if linears else (nn.Conv2d,)
    for name, layer in layers.items():
        if type(layer) not in kinds or layer in ends or _is_chosen(exclude, name, layer):
            continue
        if include is not None and not _is_chosen(include, name, layer):
            continue
        chosen.setdefault(layer, name)
    _check_names(include, layers, kinds, "include")
    _check_names(exclude, layers, kinds, "exclude")
    for layer, name in chosen.items():
        if reason := _refusal(layer):
            raise UserError(f"cannot make {name or 'the layer'} binary: {reason}; change it, or exclude it")
    if not chosen:
        kind = " or ".join(f"torch.nn.{kind.__name__}" for kind in kinds)
        raise UserError(
            f"{type(model).__name__} has no {kind} to make binary, its first and last layers and "
            "those excluded aside; choose others with include, or pass keep_ends=False"
        )

    def build(_: str, layer: nn.Module) -> nn.Module | None:
        if layer not in chosen:
            return None
        if isinstance(layer, nn.Linear):
            return binary_linear(layer)
        assert isinstance(layer, nn.Conv2d)
        return (make or binary_convolution)(layer)

    return replace_modules(network, build)


def _run_order(network: nn.Module, layers: dict[str, nn.Module], example: Tensor) -> list[nn.Module]:
    order: list[nn.Module] = []
    hooks = [
        layer.register_forward_pre_hook(lambda module, _: order.append(module))
        for layer in dict.fromkeys(layers.values())
    ]
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(example)
    except Exception as error:  # whatever a user's code raises
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{type(network).__name__} does not run on the example: {cause}; mend one") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return order


def _is_chosen(choice: Choice, name: str, layer: nn.Module) -> bool:
    if callable(choice):
        return bool(choice(name, layer))
    return any(fnmatchcase(name, pattern) for pattern in _patterns(choice))


def _patterns(choice: Collection[str]) -> Collection[str]:
    return [choice] if isinstance(choice, str) else choice


def _check_names(
    choice: Choice | None, layers: dict[str, nn.Module], kinds: Collection[type], option: str
) -> None:
    """Refuses a name that fits no layer to replace: it would be ignored in silence."""
    for pattern in () if choice is None or callable(choice) else _patterns(choice):
        fitting = [layer for name, layer in layers.items() if fnmatchcase(name, pattern)]
        if not any(type(layer) in kinds for layer in fitting):
            found = f" ({type(fitting[0]).__name__})" if fitting else ""
            kind = " or ".join(f"torch.nn.{kind.__name__}" for kind in kinds)
            raise UserError(f"{option} {pattern!r} names no {kind}{found}; name one of the model's")


def _refusal(layer: nn.Module) -> str:
    if reason := code_around(layer):
        return reason
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        return f"it pads by {layer.padding_mode!r}, and a padded bit can only add 0"
    return ""
