"""`rbnn-deploy plot`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import JsonFile, check_writable, give_result
from rbnn_deploy.errors import UserError
from rbnn_deploy.json_schema import with_schema


def plot(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders that `train --out` wrote; several are drawn over each other."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The .png file; training.png in the first folder if absent."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Draw loss, accuracy, angles and flipped signs of a training, or compare several."""
    from rbnn_deploy import api

    api.require("report", "matplotlib")
    from rbnn_deploy.pytorch.training.run.plot import read_run, write_training_plot

    logs = [read_run(run) for run in runs]
    target = output
    if target is None:
        target = (runs[0] if runs[0].is_dir() else runs[0].parent) / "training.png"
    if target.suffix.lower() != ".png":
        raise UserError(f"plot writes PNG images, not {target.name}; name a file that ends in .png")
    check_writable(target, *runs)
    if json is not None:
        check_writable(json, target, *runs)
    write_training_plot(logs, target)
    give_result(f"wrote {target}", with_schema("plot", {"path": str(target)}), json)
