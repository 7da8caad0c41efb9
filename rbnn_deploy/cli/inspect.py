"""`rbnn-deploy inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import write_json


def inspect(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or a deployed .onnx file.")],
    arch: Annotated[
        str | None, typer.Option(help="Architecture of a checkpoint; read off the file if absent.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the summary to this JSON file.")] = None,
) -> None:
    """Show per layer what is binary and what is float: shapes, bytes, MACs."""
    from rbnn_deploy.inspecting import inspect_onnx, render

    if file.suffix.lower() == ".onnx":
        summary = inspect_onnx(file)
    else:
        from rbnn_deploy import api

        network = api.load_checkpoint(file, arch)
        from rbnn_deploy.inspecting.network import inspect_network

        summary = inspect_network(network, file)
    typer.echo(render(summary))
    if json is not None:
        write_json(json, summary.to_json())
