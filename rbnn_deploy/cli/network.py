"""The checkpoint and the network that a command was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbnn_deploy.cli.output import note
from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import BATCH, INPUT, TensorSpec

if TYPE_CHECKING:
    from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork

Inputs = dict[str, TensorSpec]
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
InputShapesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="[NAME=]SIZES[:TYPE]",
        help="Sizes of one sample of an input of your own network, unless the checkpoint tells; once per "
        "input, e.g. 3,96,96, or image=3,96,96 and words=16:int64.",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(help="Means of the images, comma-separated, one per channel, of pixels from 0 to 1."),
]
StdOption = Annotated[str | None, typer.Option(help="Standard deviations, likewise.")]


def load_network(
    checkpoint: Path, arch: str | None, module: str | None = None, inputs: Inputs | None = None
) -> LoadedNetwork:
    """Loads a checkpoint, and says on standard error what was unwrapped or left out of it.

    Args:
        checkpoint: The file.
        arch: Name of a known network.
        module: Name of a user's own; see `build_own_network`.
        inputs: For that, by name; see `parse_inputs`.

    Raises:
        UserError: See `rbnn_deploy.api.load_checkpoint`, or the two names contradict each other.
    """
    from rbnn_deploy import api

    if module is None:
        if inputs is not None:
            raise UserError("--input-shape is for a network of your own; name it with --module")
        network = api.load_checkpoint(checkpoint, arch)
    else:
        if arch is not None:
            raise UserError("--arch and --module both name the network; give one of them")
        api.require("export", "torch")
        from rbnn_deploy.pytorch.networks.own import build_own_network

        network = api.load_checkpoint(checkpoint, module=build_own_network(module), inputs=inputs)
    for text in network.notes:
        note(f"note: {checkpoint}: {text}")
    return network


def parse_inputs(texts: list[str] | None) -> Inputs | None:
    """Returns the inputs that a user describes, by name; None where none is.

    Args:
        texts: "3,96,96" for the only input, or "NAME=3,96,96" for each of several; ":int64" and the like
            behind the sizes tell a type other than float32.

    Raises:
        UserError: A text is of another form, or a name is missing or occurs twice.
    """
    if not texts:
        return None
    found: Inputs = {}
    for text in texts:
        name, given, rest = text.rpartition("=")
        sizes, typed, dtype = rest.partition(":")
        parts = sizes.replace("x", ",").split(",") if sizes else []
        numbers = tuple(int(part) for part in parts if part.strip().isascii() and part.strip().isdigit())
        if len(numbers) != len(parts) or (not given and (len(texts) > 1 or not parts)):
            raise UserError(
                f"--input-shape cannot be {text!r}; give sizes such as 3,96,96, and where there are several "
                "inputs each with its name, such as image=3,96,96"
            )
        if name in found:
            raise UserError(f"--input-shape names the input {name} twice; name each once")
        found[name or INPUT] = TensorSpec(name or INPUT, dtype if typed else "float32", (BATCH, *numbers))
    return found


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
