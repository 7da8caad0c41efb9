"""Tells which network a state dict belongs to, from its keys and shapes."""

import functools
from collections.abc import Mapping, Sequence

import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.networks.architecture import Architecture, Builder
from rbnn_deploy.pytorch.networks.likeness import likeness
from rbnn_deploy.pytorch.networks.other_methods import OTHER_METHODS
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES

Shapes = Mapping[str, tuple[int, ...]]

NAMED_PROBLEMS = 3
# Of `likeness`: one half of the tensors have the same names, or nearly all the same parameters.
FAMILIAR = 1.0
RELATED = 0.4  # some layers alike


def identify(shapes: Shapes, name: str | None = None, hint: str | None = None) -> tuple[Architecture, int]:
    """Finds the network that a state dict fits exactly, its known unused keys aside.

    1. Networks of the given `name` are considered; without one all, ours and those of other methods.
    2. The number of classes is the number of the last layer's outputs.
    3. Two data sets may share a network: the one with this number of classes is taken, else the first.
    4. Two networks may share all keys and shapes (ResNet-20 with and without Bi-Real shortcuts): only a name
       or a hint tells them apart.
    5. Shapes may differ by axes of one element, which versions of a method's code have and others lack.

    Args:
        shapes: The shape of every tensor of the state dict.
        name: Name that the user gave: "family/model", or a model's name alone.
        hint: Name that the checkpoint carries, which may be one that we do not know.

    Returns:
        The network and the number of classes.

    Raises:
        UserError: No network has that name, none fits, or several do.
    """
    known = {**ARCHITECTURES, **OTHER_METHODS}
    named = [entry for entry in known.values() if name in (entry.name, entry.model)]
    if name is not None and not named:
        raise UserError(f"no network is called {name!r}; choose one of {', '.join(known)}")
    candidates = named or list(known.values())
    hinted = [entry for entry in candidates if hint in (entry.name, entry.model)]

    problems = {entry.name: _problems(shapes, entry) for entry in candidates}
    fitting = [entry for entry in candidates if not problems[entry.name]]
    fitting = [entry for entry in fitting if entry in hinted] or fitting
    if fitting and name is None and all(entry.must_be_named for entry in fitting):
        models = " or ".join(dict.fromkeys(entry.model for entry in fitting))
        raise UserError(
            f"its tensors fit {fitting[0].name}, but {fitting[0].look_alikes}; "
            f"say --arch {models} if that is what it is"
        )
    fitting = [entry for entry in fitting if name is not None or not entry.must_be_named]
    if not fitting:
        raise _refusal(shapes, hinted or candidates, whole_table=not (named or hinted))
    if len({entry.builder for entry in fitting}) > 1:
        models = " and ".join(dict.fromkeys(entry.model for entry in fitting))
        raise UserError(f"its tensors fit {models} alike; say which with --arch")
    classes = shapes[f"{fitting[0].head}.weight"][0]
    return next((entry for entry in fitting if entry.family.num_classes == classes), fitting[0]), classes


@functools.cache
def _expected_shapes(builder: Builder, classes: int) -> Shapes:
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in builder(classes).state_dict().items()}


def _its_shapes(shapes: Shapes, architecture: Architecture) -> Shapes:
    """Returns what the network would have for as many classes as the state dict has, or the data set's."""
    head = shapes.get(f"{architecture.head}.weight", ())
    return _expected_shapes(
        architecture.builder, head[0] if head and head[0] > 0 else architecture.family.num_classes
    )


def _problems(shapes: Shapes, architecture: Architecture) -> Sequence[str]:
    """Lists every way in which the shapes are not the network's, in the network's order."""
    expected = _its_shapes(shapes, architecture)
    missing = [f"no tensor {key}" for key in expected if key not in shapes]
    wrong = [
        f"{key} has shape {list(shapes[key])}, not {list(shape)}"
        for key, shape in expected.items()
        if key in shapes and not same_but_for_ones(shapes[key], shape)
    ]
    unexpected = [
        f"unknown tensor {key}"
        for key in shapes
        if key not in expected and not key.startswith(architecture.unused_keys)
    ]
    return missing + wrong + unexpected


def same_but_for_ones(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Tells whether two shapes are the same but for axes of one element."""
    return [size for size in shape if size != 1] == [size for size in other if size != 1]


def _refusal(shapes: Shapes, candidates: Sequence[Architecture], *, whole_table: bool) -> UserError:
    """Names the network that the tensors look most like, and where they differ from it."""
    alike = {entry.name: likeness(shapes, _its_shapes(shapes, entry)) for entry in candidates}
    classes = {entry.name: shapes.get(f"{entry.head}.weight", (0,))[:1] for entry in candidates}
    nearest = max(  # of several that are alike, that with the number of classes, else the first
        candidates, key=lambda e: (alike[e.name], classes[e.name] == (e.family.num_classes,))
    )
    problems = _problems(shapes, nearest)
    more = len(problems) - NAMED_PROBLEMS
    listed = ", ".join(problems[:NAMED_PROBLEMS]) + (f" and {more} more" if more > 0 else "")
    if not whole_table or alike[nearest.name] >= FAMILIAR:
        note = ", the nearest network" if whole_table else ""
        return UserError(
            f"it does not fit {nearest.name}{note}: {listed}; name another network with --arch, or mend "
            "the file"
        )
    known = f"; the nearest, {nearest.name}, differs by {listed}" if alike[nearest.name] >= RELATED else ""
    return UserError(
        f"its {len(shapes)} tensors are of none of the known networks{known}; for your own network add "
        "--module package.module:name, or use rbnn_deploy.export in Python"
    )
