"""A user's own code around a module, which folding would leave out.

Folding replaces a module by what its class is known to compute. Hooks, a forward method that was set on the
module, and a subclass that overrides something change that, so such a module is refused or stays as it is.
Parametrizations (torch.nn.utils.parametrize) stay in the values that folding reads; they change nothing here.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import BinaryLayer

_DESCRIPTION = ("attributes", "affine", "effective_weight", "scale", "thresholds", "window_terms")
# What a subclass may define without another result in evaluation mode.
_HARMLESS = {"extra_repr", "reset_parameters", "parameter_groups", "begin_epoch", "set_sign_gradient"} | {
    *("untrained", "refusal", "_abc_impl"),
}


def code_around(module: nn.Module) -> str:
    """Says in a clause which code of a user's changes what a module computes; empty where there is none."""
    for hooks, kind in (
        (module._forward_pre_hooks, "forward pre-hook"),
        (module._forward_hooks, "forward hook"),
    ):
        for hook in hooks.values():
            name = getattr(hook, "__name__", type(hook).__name__)
            return f"it has a {kind} ({name})"
    return "its forward method was replaced" if "forward" in vars(module) else ""


def check_layer(layer: BinaryLayer, name: str) -> None:
    """Refuses a binary layer that may compute something else than it describes.

    Args:
        layer: The layer.
        name: What it is called in the error; empty where it is the whole network.

    Raises:
        UserError: It has hooks or a forward method of its own, or its class overrides a part of the class
            that describes it.
    """
    reason = code_around(layer)
    kinds = [kind for kind in type(layer).__mro__ if kind is not object]
    if parametrize.is_parametrized(layer):
        kinds = kinds[1:]  # made by torch; it adds properties that compute the parameters
    described = next(i for i, kind in enumerate(kinds) if any(part in vars(kind) for part in _DESCRIPTION))
    for kind in kinds[:described]:
        if overridden := sorted(
            key for key in vars(kind) if _changes_results(key) and hasattr(kinds[described], key)
        ):
            reason = reason or f"its class {kind.__name__} overrides {', '.join(overridden)}"
    if reason:
        where = f"layer {name}" if name else "the layer"
        raise UserError(
            f"cannot fold {where}: {reason}, which folding would leave out; move that code into a module of "
            "its own in front of the layer or behind it (for old-style spectral_norm and weight_norm take "
            "torch.nn.utils.parametrizations)"
        )


def _changes_results(name: str) -> bool:
    """Tells whether a method or attribute of this name may take part in what a module computes."""
    if name.startswith("__"):
        return name in ("__call__", "__getattr__", "__getattribute__")
    return name not in _HARMLESS


def check_initialised(module: nn.Module) -> None:
    """Refuses a network with lazy modules that never ran.

    Raises:
        UserError: A module has no weights yet.
    """
    for name, child in module.named_modules():
        if isinstance(child, LazyModuleMixin) and child.has_uninitialized_params():  # type: ignore[misc]
            raise UserError(
                f"{name or 'the module'} ({type(child).__name__}) has no weights yet; run a batch through "
                "the network, and train it, before it is exported"
            )


def check_float32(module: nn.Module) -> None:
    """Refuses a network whose parameters are of another type.

    Raises:
        UserError: One is.
    """
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise UserError(
                f"parameter {name} is {kind}, not float32; convert the network with .float() first"
            )


def copied(module: nn.Module) -> nn.Module:
    """Returns a deep copy, also of a module that keeps activations of its last run: those lose their graph.

    Raises:
        UserError: The module holds something else that cannot be copied.
    """
    memo: dict[int, Any] = {}
    for child in module.modules():
        for tensor in _tensors(list(vars(child).values())):
            if not tensor.is_leaf:
                memo[id(tensor)] = tensor.detach().clone()
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # whatever the objects in a user's module raise
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{type(module).__name__} cannot be copied ({cause}); keep only the network itself in it"
        ) from error


def _tensors(values: Any) -> Iterator[Tensor]:
    """Yields the tensors in nested lists, tuples and dictionaries."""
    stack, seen = [values], set()
    while stack:
        value = stack.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple | dict) and id(value) not in seen:
            seen.add(id(value))
            stack.extend(value.values() if isinstance(value, dict) else value)


def batch_dependent(module: nn.Module) -> list[str]:
    """Names the BatchNorms without running statistics, whose results depend on the whole batch."""
    return [
        name
        for name, child in module.named_modules()
        if isinstance(child, torch.nn.modules.batchnorm._BatchNorm) and child.running_mean is None
    ]
