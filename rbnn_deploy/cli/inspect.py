"""`rbnn-deploy inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.network import InputShapeOption, ModuleOption, load_network
from rbnn_deploy.cli.output import JsonFile, check_writable, give_result
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.formats import START_LENGTH, is_checkpoint


def inspect(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or a deployed .onnx file.")],
    arch: Annotated[
        str | None, typer.Option(help="Architecture of a checkpoint; read off the file if absent.")
    ] = None,
    module: ModuleOption = None,
    input_shape: InputShapeOption = None,
    json: JsonFile = None,
) -> None:
    """Show each layer: binary or float, shapes, bytes, MACs."""
    from rbnn_deploy.inspecting import inspect_onnx, render

    if json is not None:
        check_writable(json, file)
    if not _is_checkpoint(file):
        summary = inspect_onnx(file)
    else:
        network = load_network(file, arch, module, input_shape)
        from rbnn_deploy.pytorch.inspecting import inspect_network

        summary = inspect_network(network, file)
    give_result(render(summary), summary.to_json(), json)


def _is_checkpoint(file: Path) -> bool:
    """Tells a checkpoint from an ONNX model by its first bytes, not by its name.

    Raises:
        UserError: The file cannot be read, or is empty.
    """
    if not file.is_file():
        kind = "is a folder" if file.is_dir() else "is no file" if file.exists() else "does not exist"
        raise UserError(f"{file} {kind}; name a checkpoint or an .onnx file")
    try:
        with file.open("rb") as stream:
            start = stream.read(START_LENGTH)
        size = file.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check its permissions") from None
    if not start:
        raise UserError(f"{file} is empty; train, export or copy it again")
    return is_checkpoint(start, size)
