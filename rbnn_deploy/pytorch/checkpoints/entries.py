"""What a checkpoint says beside its tensors: names, numbers of the normalisation, classes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import LARGEST, SMALLEST, is_input_shape
from rbnn_deploy.pytorch.checkpoints.numpy_objects import NumpyArray


def text(entries: Mapping[Any, Any], *keys: str) -> str | None:
    """Returns the first of some entries that is a text."""
    return next((value for key in keys if isinstance(value := entries.get(key), str)), None)


def whole_number(entries: Mapping[Any, Any], key: str) -> int | None:
    """Returns an entry that is a whole number."""
    value = entries.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(entries: Mapping[Any, Any], key: str, channels: int) -> tuple[float, ...] | None:
    """Returns an entry that has one number per channel; None where it is missing.

    Args:
        entries: All.
        key: "mean" or "std".
        channels: Of the network's images.

    Raises:
        UserError: It is of another length, its values are no finite numbers, or a deviation is not above 0.
    """
    value = entries.get(key)
    if value is None:
        return None
    if isinstance(value, NumpyArray):
        value = None if value.value is None else value.value.tolist()
    elif isinstance(value, Tensor):
        value = value.tolist()
    values = list(value) if isinstance(value, list | tuple) else []
    if len(values) != channels or not all(_is_number(v) for v in values):
        raise UserError(f"its entry {key!r} must be {channels} numbers, one per channel; train it again")
    if key == "std" and min(values) < SMALLEST:
        raise UserError("its entry 'std' must be above 0, because images are divided by it; train it again")
    return tuple(float(v) for v in values)


def input_shape_of(entries: Mapping[Any, Any]) -> tuple[int, int, int] | None:
    """Returns the entry `input_shape`, (C, H, W); None where it is missing.

    Raises:
        UserError: It is no such shape.
    """
    value = entries.get("input_shape")
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not is_input_shape(tuple(value)):
        raise UserError("its entry 'input_shape' must be three sizes, (C, H, W); give the shape yourself")
    return (value[0], value[1], value[2])


def class_names(entries: Mapping[Any, Any], classes: int | None) -> tuple[str, ...] | None:
    """Returns the names of the classes, if the checkpoint has them.

    Raises:
        UserError: They are no names, or of another number.
    """
    names = entries.get("class_names")
    if names is None:
        return None
    if (
        not isinstance(names, list | tuple)
        or classes not in (None, len(names))
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(
            f"its entry 'class_names' must be {classes or 'all'} strings, one per class; train it again"
        )
    return tuple(names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
