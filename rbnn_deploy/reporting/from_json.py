"""Values of somebody's JSON as dataclasses, checked against their types."""

import dataclasses
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")
LARGEST = 2**63  # of an integer, in magnitude


class MismatchError(Exception):
    """A value is missing or of another type; the text is its place in the JSON."""


def from_json(cls: type[T], value: Any, where: str = "the result") -> T:
    """Makes a dataclass of a JSON object.

    Fields without a default must be there; keys that are no fields are ignored, because a later version may
    write more. Types are str, int, float (which takes an integer, and must be finite), bool, None, unions,
    tuples of one type, dictionaries and further dataclasses.

    Args:
        cls: The dataclass.
        value: What json.loads returned.
        where: Name of the place, for the error.

    Raises:
        MismatchError: A value is missing or of another type.
    """
    if not isinstance(value, dict):
        raise MismatchError(where)
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        place = f"{where}.{field.name}"
        if field.name in value:
            found[field.name] = _convert(hints[field.name], value[field.name], place)
        elif field.default is dataclasses.MISSING:
            raise MismatchError(place)
    return cls(**found)


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _convert(kind, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return from_json(typing.cast("type[Any]", kind), value, where)
    if not _is_plain(kind, value):
        raise MismatchError(where)
    return float(value) if kind is float else value


def _is_plain(kind: Any, value: Any) -> bool:
    """Tells whether a text, boolean or number is of a type."""
    if kind in (str, bool):
        return isinstance(value, kind)
    numbers = {int: (int,), float: (int, float)}.get(kind, ())
    right = isinstance(value, numbers) and not isinstance(value, bool)
    return right and abs(value) < LARGEST  # which an infinite number is not, and NaN neither
