"""What a checkpoint says beside its tensors: names, numbers of the normalisation, classes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import LARGEST, SMALLEST
from rbnn_deploy.pytorch.checkpoints.numpy_objects import NumpyArray


def text(entries: Mapping[Any, Any], *keys: str) -> str | None:
    """Returns the first of some entries that is a text."""
    return next((value for key in keys if isinstance(value := entries.get(key), str)), None)


def whole_number(entries: Mapping[Any, Any], key: str) -> int | None:
    """Returns an entry that is a whole number."""
    value = entries.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(entries: Mapping[Any, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Returns an entry that has one number per channel.

    Args:
        entries: All.
        key: "mean" or "std".
        default: What the network's images have, where the entry is missing.

    Raises:
        UserError: It is of another length, its values are no finite numbers, or a deviation is not above 0.
    """
    value = entries.get(key)
    if value is None:
        return default
    if isinstance(value, NumpyArray):
        value = None if value.value is None else value.value.tolist()
    elif isinstance(value, Tensor):
        value = value.tolist()
    values = list(value) if isinstance(value, list | tuple) else []
    if len(values) != len(default) or not all(_is_number(v) for v in values):
        raise UserError(f"its entry {key!r} must be {len(default)} numbers, one per channel; train it again")
    if key == "std" and min(values) < SMALLEST:
        raise UserError("its entry 'std' must be above 0, because images are divided by it; train it again")
    return tuple(float(v) for v in values)


def class_names(entries: Mapping[Any, Any], classes: int) -> tuple[str, ...] | None:
    """Returns the names of the classes, if the checkpoint has them.

    Raises:
        UserError: They are no names, or of another number.
    """
    names = entries.get("class_names")
    if names is None:
        return None
    if (
        not isinstance(names, list | tuple)
        or len(names) != classes
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(f"its entry 'class_names' must be {classes} strings, one per class; train it again")
    return tuple(names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
