"""The inputs of a user's module: their description for a model's signature, and how forward gets them.

1. One input is the first argument of forward, whatever it is called.
2. Several are passed by name where all their names are those of arguments of forward, and in their order
   where none is. A mixture of both is refused, because it would be a guess.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import LARGEST_INPUT, LARGEST_SIZE
from rbnn_deploy.signature import BATCH, INPUT, INPUT_TYPES, LONGEST_NAME, Signature, TensorSpec, quoted
from rbnn_deploy.text import printable

_ADVICE = (
    "pass inputs={name: sizes of one sample, such as (3, 96, 96), or an example array with its batch first}"
)


def describe_inputs(module: nn.Module, inputs: Any) -> tuple[TensorSpec, ...]:
    """Describes a module's inputs.

    Args:
        module: The module.
        inputs: By name, the sizes of one sample (of float32), an example with the batch first, as array or
            tensor, or a `TensorSpec`. A list or tuple of these takes the names of forward's arguments.

    Returns:
        One description per input, in the order in which forward takes them.

    Raises:
        UserError: A name, type or size cannot be written, or the names are not all those of forward's
            arguments though some are.
    """
    if isinstance(inputs, list | tuple) and inputs and not _is_shape(inputs):
        inputs = dict(zip(_names(module, len(inputs)), inputs, strict=True))
    if not isinstance(inputs, Mapping) or not inputs:
        raise UserError(f"the inputs cannot be {inputs!r}; {_ADVICE}")
    found = {}
    for name, given in inputs.items():
        check_name(name, "input")
        found[name] = _describe(name, given)
    arguments, keywords = bind(module, found)
    return (*arguments, *keywords.values())


def check_name(name: Any, what: str) -> None:
    """Checks that a name can be that of an input or output.

    Raises:
        UserError: It is no text, or empty, too long, or not printable.
    """
    if not isinstance(name, str) or not name or printable(name) != name or len(name) > LONGEST_NAME:
        raise UserError(
            f"an {what} cannot be called {quoted(str(name))!r}; choose a name of 1 to {LONGEST_NAME} "
            "characters that a terminal can show"
        )


def bind(module: nn.Module, feeds: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments and keyword arguments of forward (rules 1 and 2).

    Args:
        module: The module.
        feeds: Anything by the inputs' names.

    Raises:
        UserError: Some names, but not all, are those of arguments of forward, or an argument gets no value.
    """
    if len(feeds) == 1:
        return tuple(feeds.values()), {}
    signature = inspect.signature(module.forward)
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    known = {p.name for p in signature.parameters.values() if p.kind not in fixed}
    by_name = [name for name in feeds if name in known]
    kind = type(module).__name__
    if by_name and len(by_name) < len(feeds):
        unknown = next(name for name in feeds if name not in known)
        raise UserError(
            f"forward of {kind} has an argument {by_name[0]} and none called {unknown}; name all inputs "
            f"as its arguments ({', '.join(known)}), or none"
        )
    try:
        bound = signature.bind(**feeds) if by_name else signature.bind(*feeds.values())
    except TypeError as error:
        raise UserError(
            f"forward of {kind} cannot take {', '.join(feeds)}: {error}; name its inputs"
        ) from None
    return bound.args, bound.kwargs


def zeros(specs: Sequence[TensorSpec], count: int, device: Any = "cpu") -> dict[str, Tensor]:
    """Returns a batch of zeros for each input."""
    return {
        spec.name: torch.zeros(
            count, *(spec.sample_shape or ()), dtype=getattr(torch, spec.dtype), device=device
        )
        for spec in specs
    }


def images(input_shape: tuple[int, int, int]) -> tuple[TensorSpec, ...]:
    """Describes the only input of a network of images.

    Args:
        input_shape: (C, H, W).
    """
    return (TensorSpec(INPUT, "float32", (BATCH, *input_shape)),)


def image_shape(inputs: Sequence[TensorSpec]) -> tuple[int, int, int] | None:
    """Returns (C, H, W) where the only input is a batch of images of a fixed size; None otherwise.

    A module that takes integers does with them what it wants: that they are pixels is for it to know.
    """
    images = Signature(tuple(inputs), ()).takes_images and inputs[0].dtype == "float32"
    shape = inputs[0].sample_shape if images else None
    return None if shape is None else (shape[0], shape[1], shape[2])


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) > 0
        and all(isinstance(size, int) and not isinstance(size, bool) for size in value)
    )


def _names(module: nn.Module, count: int) -> list[str]:
    if count == 1:
        return [INPUT]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in inspect.signature(module.forward).parameters.values() if p.kind in kinds]
    if len(names) < count:
        raise UserError(
            f"forward of {type(module).__name__} names {len(names)} arguments, not {count}; {_ADVICE}"
        )
    return names[:count]


def _describe(name: str, given: Any) -> TensorSpec:
    dtype = "float32"
    if isinstance(given, TensorSpec):
        dtype, sizes = given.dtype, given.sample_shape
    elif isinstance(given, Tensor | np.ndarray):
        dtype, sizes = str(given.dtype).removeprefix("torch."), tuple(given.shape)[1:]
        if not given.ndim:
            raise UserError(f"the example of input {name} is a single number; give one with its batch first")
    elif isinstance(given, tuple | list) and (not given or _is_shape(given)):
        sizes = tuple(given)
    else:
        raise UserError(f"the input {name} cannot be {given!r}; {_ADVICE}")
    if dtype not in INPUT_TYPES:
        raise UserError(
            f"the input {name} is {dtype}, and models take {', '.join(INPUT_TYPES)}; convert it, and cast it "
            "inside forward where that is needed"
        )
    if (
        sizes is None
        or any(not 1 <= size <= LARGEST_SIZE for size in sizes)
        or math.prod(sizes) > LARGEST_INPUT
    ):
        raise UserError(
            f"the input {name} cannot have the sizes {list(sizes or ())}; each is from 1 to {LARGEST_SIZE}, "
            f"and all together have at most {LARGEST_INPUT} elements"
        )
    return TensorSpec(name, dtype, (BATCH, *sizes))
