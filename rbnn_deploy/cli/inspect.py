"""`rbnn-deploy inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.network import InputShapesOption, ModuleOption, load_network, parse_inputs
from rbnn_deploy.cli.output import JsonFile, check_writable, give_result
from rbnn_deploy.errors import UserError


def inspect(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or a deployed .onnx file.")],
    arch: Annotated[
        str | None, typer.Option(help="Architecture of a checkpoint; read off the file if absent.")
    ] = None,
    module: ModuleOption = None,
    input_shape: InputShapesOption = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Estimate storage, memory and time of a deployed model on these, such as cortex-m4,x86-64; "
            "a wrong name lists all.",
        ),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Show each layer: binary or float, shapes, bytes, MACs; with --device the cost on devices."""
    from rbnn_deploy import api
    from rbnn_deploy.estimating import estimate, find_devices
    from rbnn_deploy.inspecting import inspect_onnx, render

    if json is not None:
        check_writable(json, file)
    if not api.is_checkpoint_file(file):
        api.check_nothing_given(file, arch, module, input_shape)
        devices = [] if device is None else device.split(",")
        find_devices(devices)
        summary = inspect_onnx(file)
        if devices:
            estimates = estimate(file, devices)
            content = {**summary.to_json(), "devices": estimates.to_json()}
            give_result(f"{render(summary)}\n\n{estimates.to_text()}", content, json)
            return
    else:
        if device is not None:
            raise UserError(f"{file} is a checkpoint; export it, and ask for --device of the exported file")
        network = load_network(file, arch, module, parse_inputs(input_shape))
        from rbnn_deploy.pytorch.inspecting import inspect_network

        summary = inspect_network(network, file)
    give_result(render(summary), summary.to_json(), json)
