"""Loads a checkpoint into a user's own network: its tensors must be exactly the network's."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import (
    LoadedNetwork,
    check_kinds,
    describe_ignored,
    read_entries,
    read_state,
)
from rbnn_deploy.pytorch.checkpoints.entries import class_names, input_shape_of, numbers, whole_number
from rbnn_deploy.pytorch.checkpoints.reading import read_checkpoint_file
from rbnn_deploy.pytorch.checkpoints.state_dict import (
    MisfitError,
    Shapes,
    describe_widened,
    find_state,
    fit_state,
)
from rbnn_deploy.pytorch.checkpoints.stored_tensor import check_total
from rbnn_deploy.pytorch.folding.fold import unwrapped
from rbnn_deploy.pytorch.folding.user_code import check_initialised, copied
from rbnn_deploy.pytorch.module_inputs import bind, describe_inputs, image_shape, images, zeros
from rbnn_deploy.pytorch.outputs import tensors
from rbnn_deploy.signature import TensorSpec

_NAMED_PROBLEMS = 3


def load_own_checkpoint(path: str | Path, module: nn.Module, inputs: Any = None) -> LoadedNetwork:
    """Loads a checkpoint into a copy of a network.

    Args:
        path: As `load_checkpoint` takes it.
        module: The network; its own values do not matter, and stay.
        inputs: See `rbnn_deploy.pytorch.module_inputs.describe_inputs`; None takes the shape of an image from
            the checkpoint, which `rbnn-deploy train` writes.

    Raises:
        UserError: The file is no checkpoint (see `load_checkpoint`), its tensors are not exactly the
            network's, the shape of the input is not known, or the network does not run on it.
    """
    path = Path(path)
    check_initialised(module)
    network = copied(unwrapped(module)).cpu().eval()
    name = type(network).__name__
    file = read_checkpoint_file(path)
    try:
        expected = {key: tuple(v.shape) for key, v in network.state_dict().items() if isinstance(v, Tensor)}
        state = find_state(file.content)
        check_kinds(state.tensors)
        state, _ = fit_state(state, lambda shapes: _check_fits(shapes, expected, name))
        check_total(state.tensors, len(file.data))
        tensors = read_state(network, state, file)
        network.load_state_dict(tensors, strict=False)  # what is left is no tensor
        entries = read_entries(state, file)
        shape = input_shape_of(entries)
        if inputs is None and shape is None:
            raise UserError(
                "it does not tell its input's shape; give it, --input-shape C,H,W on a command line"
            )
        takes = images(shape) if inputs is None and shape else describe_inputs(network, inputs)
        shape = image_shape(takes)
        channels = 0 if shape is None else shape[0]
        classes = count_classes(network, takes)
        return LoadedNetwork(
            module=network,
            architecture=name,
            num_classes=classes,
            inputs=takes,
            mean=numbers(entries, "mean", channels) if shape else None,
            std=numbers(entries, "std", channels) if shape else None,
            class_names=class_names(entries, classes),
            sha256=hashlib.sha256(file.data).hexdigest(),
            epoch=whole_number(entries, "epoch"),
            unused_keys=(),
            notes=(
                *state.notes,
                *describe_widened([value.dtype for value in tensors.values()]),
                *describe_ignored(file),
            ),
        )
    except UserError as error:
        raise UserError(f"cannot use checkpoint {path}: {error}") from None


def count_classes(network: nn.Module, inputs: Sequence[TensorSpec]) -> int | None:
    """Runs a network once, on zeros, and counts its logits.

    Args:
        network: In evaluation mode.
        inputs: What it takes.

    Returns:
        How many it has; None where its output is not one row of them per sample.

    Raises:
        UserError: It does not run on inputs of this shape.
    """
    parameter: Any = next(network.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            arguments, keywords = bind(network, zeros(inputs, 2, parameter.device))
            returned = network(*arguments, **keywords)
    except UserError:
        raise
    except Exception as error:  # whatever a user's code raises
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        shapes = " and ".join(str(list(spec.sample_shape or ())) for spec in inputs)
        raise UserError(
            f"{type(network).__name__} cannot run on inputs of shape {shapes}: {cause}; "
            "give the right input shape"
        ) from error
    try:
        (logits,) = tensors(returned)
    except (UserError, ValueError):  # no tensor, or several
        return None
    return int(logits.shape[1]) if logits.ndim == 2 and len(logits) == 2 else None


def _check_fits(shapes: Shapes, expected: Shapes, name: str) -> None:
    problems = [
        *(f"no tensor {key}" for key in expected if key not in shapes),
        *(
            f"{key} has shape {list(shapes[key])}, not {list(shape)}"
            for key, shape in expected.items()
            if key in shapes and shapes[key] != shape
        ),
        *(f"unknown tensor {key}" for key in shapes if key not in expected),
    ]
    if problems:
        more = len(problems) - _NAMED_PROBLEMS
        listed = ", ".join(problems[:_NAMED_PROBLEMS]) + (f" and {more} more" if more > 0 else "")
        raise MisfitError(
            f"it does not fit {name}: {listed}; name the network that it was saved from", len(problems)
        )
