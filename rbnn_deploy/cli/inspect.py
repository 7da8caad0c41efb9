"""`rbnn-deploy inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.network import InputShapeOption, ModuleOption, load_network
from rbnn_deploy.cli.output import JsonFile, check_writable, give_result


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
    from rbnn_deploy import api
    from rbnn_deploy.inspecting import inspect_onnx, render

    if json is not None:
        check_writable(json, file)
    if not api.is_checkpoint_file(file):
        api.check_nothing_given(file, arch, module, input_shape)
        summary = inspect_onnx(file)
    else:
        network = load_network(file, arch, module, input_shape)
        from rbnn_deploy.pytorch.inspecting import inspect_network

        summary = inspect_network(network, file)
    give_result(render(summary), summary.to_json(), json)
