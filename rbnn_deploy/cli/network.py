"""The checkpoint and the network that a command was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbnn_deploy.cli.output import note
from rbnn_deploy.errors import UserError

if TYPE_CHECKING:
    from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork

ModuleOption = Annotated[
    str | None,
    typer.Option(
        metavar="PACKAGE.MODULE:NAME",
        help="Your own network: a class or function that builds it, without arguments. Its code is imported "
        "and run, so name only code that you trust.",
    ),
]
InputShapeOption = Annotated[
    str | None,
    typer.Option(
        metavar="C,H,W", help="Input of your own network, e.g. 3,96,96, unless the checkpoint tells."
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(help="Means of the images, comma-separated, one per channel, of pixels from 0 to 1."),
]
StdOption = Annotated[str | None, typer.Option(help="Standard deviations, likewise.")]


def load_network(
    checkpoint: Path, arch: str | None, module: str | None = None, input_shape: str | None = None
) -> LoadedNetwork:
    """Loads a checkpoint, and says on standard error what was unwrapped or left out of it.

    Args:
        checkpoint: The file.
        arch: Name of a known network.
        module: Name of a user's own; see `build_own_network`.
        input_shape: "C,H,W", for that.

    Raises:
        UserError: See `rbnn_deploy.api.load_checkpoint`, or the two names contradict each other.
    """
    from rbnn_deploy import api

    if module is None:
        if input_shape is not None:
            raise UserError("--input-shape is for a network of your own; name it with --module")
        network = api.load_checkpoint(checkpoint, arch)
    else:
        if arch is not None:
            raise UserError("--arch and --module both name the network; give one of them")
        api.require("export", "torch")
        from rbnn_deploy.pytorch.networks.own import build_own_network

        shape = None if input_shape is None else parse_input_shape(input_shape)
        network = api.load_checkpoint(checkpoint, module=build_own_network(module), input_shape=shape)
    for text in network.notes:
        note(f"note: {checkpoint}: {text}")
    return network


def parse_input_shape(text: str) -> tuple[int, int, int]:
    """Returns (C, H, W).

    Raises:
        UserError: The text is of another form.
    """
    from rbnn_deploy.metadata import is_input_shape

    parts = text.replace("x", ",").split(",")
    sizes = tuple(int(part) for part in parts if part.strip().isascii() and part.strip().isdigit())
    if len(sizes) != len(parts) or not is_input_shape(sizes):
        raise UserError(f"--input-shape cannot be {text!r}; give channels, height and width, such as 3,96,96")
    return (sizes[0], sizes[1], sizes[2])


def parse_numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """Returns comma-separated numbers; None where the option was not given.

    Raises:
        UserError: One of them is no number.
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{option} cannot be {text!r}; give numbers, such as 0.485,0.456,0.406") from None
