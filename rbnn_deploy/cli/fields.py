"""The fields of dataclasses as options of a command."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, replace
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

T = TypeVar("T")


def with_options_of(
    *classes: type, notes: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command an option for every field of dataclasses.

    Args:
        *classes: Their fields have an explanation in their metadata, under "help".
        notes: Additions to the explanations of fields, by name.

    Returns:
        A decorator for a command that takes the options as keyword arguments, which typer cannot see; those
        not given are None.
    """

    def describe(entry: Field[Any]) -> str:
        note = (notes or {}).get(entry.name)
        return str(entry.metadata["help"]) + (f" ({note})" if note else "")

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [entry for entry in signature.parameters.values() if entry.kind is not entry.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                entry.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[types[entry.name] | None, typer.Option(help=describe(entry))],
            )
            for cls, types in ((cls, get_type_hints(cls)) for cls in classes)
            for entry in fields(cls)
        ]
        command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        command.__annotations__ |= {option.name: option.annotation for option in options}
        return command

    return decorate


def replace_given(instance: T, options: dict[str, Any]) -> T:
    """Returns a dataclass with those of its fields replaced that were given as options."""
    names = {entry.name for entry in fields(instance)}  # type: ignore[arg-type]
    given = {name: value for name, value in options.items() if name in names and value is not None}
    return replace(instance, **given)  # type: ignore[type-var]
