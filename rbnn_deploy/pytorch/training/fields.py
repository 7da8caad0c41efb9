"""Fields that explain themselves and hold plain values, for recipes and options."""

import operator
from dataclasses import field, fields
from types import UnionType
from typing import Any, get_args

from rbnn_deploy.errors import UserError

_KINDS = {int: "a whole number", float: "a number", bool: "True or False"}


def explained(default: Any, explanation: str) -> Any:
    """Returns a dataclass field; the command line shows the explanation as an option's help."""
    return field(default=default, metadata={"help": explanation})


def make_plain(instance: Any) -> None:
    """Turns a frozen dataclass's values into Python's own types.

    Numbers of NumPy or PyTorch would train, and then fail to be logged, or to be read back.

    Args:
        instance: Its fields are of type int, float, bool or str, or one of them or None.

    Raises:
        UserError: A value cannot be turned into its field's type.
    """
    for entry in fields(instance):
        kind: Any = entry.type
        if isinstance(kind, UnionType):  # with None
            kind = get_args(kind)[0]
        value = getattr(instance, entry.name)
        if value is None and entry.default is None:
            continue
        try:
            plain = operator.index(value) if kind is int else kind(value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{entry.name} must be {_KINDS[kind]}, not {value!r}") from None
        object.__setattr__(instance, entry.name, plain)
