"""The numbers of a recipe as options of a command."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer

from rbnn_deploy.training.recipe import TrainingRecipe


def with_recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for every field of `TrainingRecipe`.

    Args:
        command: Takes them as keyword arguments, which typer cannot see; those not given are None.
    """
    types = get_type_hints(TrainingRecipe)
    signature = inspect.signature(command)
    own = [entry for entry in signature.parameters.values() if entry.kind is not entry.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[types[entry.name] | None, typer.Option(help=entry.metadata["help"])],
        )
        for entry in fields(TrainingRecipe)
    ]
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    command.__annotations__ |= {option.name: option.annotation for option in options}
    return command


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
