"""`rbnn-deploy export`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.export_c import export_to_c
from rbnn_deploy.cli.export_model import FOLDERS, export_model
from rbnn_deploy.cli.export_result import tell_result
from rbnn_deploy.cli.export_web import export_to_web
from rbnn_deploy.cli.network import (
    InputShapesOption,
    MeanOption,
    ModuleOption,
    StdOption,
    load_network,
    parse_inputs,
    parse_numbers,
)
from rbnn_deploy.cli.output import JsonFile, check_writable, note
from rbnn_deploy.errors import UserError
from rbnn_deploy.input_image import FLOAT32_NCHW
from rbnn_deploy.operators import PACKED_BINARY_CONV2D

TARGETS = ("onnx", "c", "web", "qonnx")


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of the reference implementation or of `train`; also a QONNX model, or for C "
            "and web a deployed .onnx file."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The .onnx file to write; for C and web the folder to make."),
    ],
    target: Annotated[
        str, typer.Option("--format", help="onnx, c for C99 without a runtime, web for a page, or qonnx.")
    ] = "onnx",
    arch: Annotated[
        str | None,
        typer.Option(help="Architecture, e.g. cifar10/resnet20_1w1a; read off the file if absent."),
    ] = None,
    module: ModuleOption = None,
    input_shape: InputShapesOption = None,
    output_names: Annotated[
        str | None,
        typer.Option(
            help="Names of the tensors that your own network returns, comma-separated, in their order; the "
            "keys of dicts, output_0, output_1 ... of tuples, or logits if absent."
        ),
    ] = None,
    mean: MeanOption = None,
    std: StdOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Text file with the names of the classes, one per line, in logit order."),
    ] = None,
    simplify: Annotated[
        bool,
        typer.Option("--simplify/--no-simplify", help="Simplify and fuse the graph, or leave it as it is."),
    ] = True,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operator set, at least 18.")] = 18,
    float_layers: Annotated[
        str,
        typer.Option(
            help="float32; int8 lets ONNX Runtime quantise the float layers that get faster by it; exact has "
            "int8 weights in all of them, and the same outputs on every processor."
        ),
    ] = "float32",
    calibration: Annotated[
        Path | None, typer.Option(help="Images for int8 and exact, as --data of compare takes them.")
    ] = None,
    calibration_range: Annotated[
        str,
        typer.Option(
            help="For exact: minmax, all that an activation was on these images; percentile, all but the "
            "outermost 0.005 % at either end, zeros aside; mse, with the least mean squared error."
        ),
    ] = "minmax",
    input_format: Annotated[
        str,
        typer.Option(
            "--input",
            help="What the model takes: float32-nchw, normalised images, or uint8-nhwc, pixels as cameras "
            "give them, which the model then normalises itself.",
        ),
    ] = FLOAT32_NCHW,
    dynamic_size: Annotated[
        bool,
        typer.Option("--dynamic-size", help="Let the model take images of any height and width."),
    ] = False,
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            metavar="DIST",
            help="For web: the folder dist of npm's onnxruntime-web, to compare the page with.",
        ),
    ] = None,
    bits_between_layers: Annotated[
        bool,
        typer.Option(
            "--bits-between-layers",
            help="Let binary layers pass bits on where the next one reads nothing but signs; same outputs.",
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Print what was fused, layer by layer, and what was not, and why."),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Compare a few random inputs with PyTorch before writing."),
    ] = True,
    json: JsonFile = None,
) -> None:
    """Fold a checkpoint into one-bit weights and write one .onnx file, C, or a web page."""
    from rbnn_deploy import api

    int8 = float_layers != "float32" or calibration is not None or calibration_range != "minmax"
    special = {
        # ONNX Runtime's int8 has no C code, and QONNX has quantisers of its own.
        "--float-layers": int8 and (target == "qonnx" or float_layers == "int8"),
        "--explain": explain,
        "--output-names": output_names is not None,
        "--input": input_format != FLOAT32_NCHW,
        "--dynamic-size": dynamic_size,
        "--bits-between-layers": bits_between_layers and target == "qonnx",
    }
    _check_options(target, special, simplify=simplify)
    if onnxruntime_web is not None and target != "web":
        raise UserError("--onnxruntime-web belongs to --format web; leave it out")
    if json is not None and target not in FOLDERS:
        check_writable(json, checkpoint, output)
    if not api.is_checkpoint_file(checkpoint):
        given = {
            "--arch": arch is not None,
            "--module": module is not None,
            "--input-shape": input_shape is not None,
            "--float-layers": int8,
            "--no-simplify": not simplify,
            "--input": special["--input"],
            "--dynamic-size": dynamic_size,
            "--bits-between-layers": bits_between_layers,
            "--output-names": output_names is not None,
        }
        export_model(
            checkpoint,
            output,
            target,
            [option for option, is_given in given.items() if is_given],
            mean=mean,
            std=std,
            labels=labels,
            opset=opset,
            check=check,
            explain=explain,
            json=json,
            onnxruntime_web=onnxruntime_web,
        )
        return
    from rbnn_deploy.classes import read_class_names
    from rbnn_deploy.metadata import ModelMetadata

    if output.exists() and checkpoint.exists() and output.samefile(checkpoint):
        raise UserError(f"{output} is the checkpoint itself; name another file for the model")
    network = load_network(checkpoint, arch, module, parse_inputs(input_shape))
    metadata = ModelMetadata(
        network.architecture,
        network.input_shape,
        mean=parse_numbers(mean, "--mean"),
        std=parse_numbers(std, "--std"),
        class_names=None if labels is None else tuple(read_class_names(labels)),
    )
    to_onnx = partial(
        api.export,
        network,
        metadata=metadata,
        opset=opset,
        simplify=simplify,
        float_layers=float_layers,
        calibration=calibration,
        calibration_range=calibration_range,
        bits_between_layers=bits_between_layers,
        check=check,
    )
    if target in FOLDERS:
        if target == "c":
            export_to_c(checkpoint, output, to_onnx, json)
        else:
            export_to_web(checkpoint, output, to_onnx, onnxruntime_web, json)
        return
    if target == "qonnx":
        result = api.export_qonnx(network, output, metadata=metadata, opset=opset, check=check)
    else:
        result = to_onnx(
            output,
            input_format=input_format,
            output_names=None if output_names is None else output_names.split(","),
            dynamic_size=dynamic_size,
        )
    layers = result.layers
    if result.folded.zeros:
        where = ", ".join(f"{layer.name}: {layer.zeros}" for layer in layers if layer.zeros)
        typer.echo(
            f"warning: {result.folded.zeros} weights are exactly zero, which a bit cannot be; "
            f"they became +1 ({where})",
            err=True,
        )
    if float_layers == "int8" and not result.int8_layers:
        note("note: no float layer of this network gets faster in int8; all stay float32")
    if bits_between_layers and PACKED_BINARY_CONV2D not in result.nodes:
        note("note: no layer of this network can pass bits on; --explain gives the reasons")
    tell_result(result, f"folded {len(layers)} binary layers", explain=explain, json=json)


def _check_options(target: str, given: dict[str, bool], *, simplify: bool) -> None:
    """Refuses a format that nobody knows, and options that a format does not have.

    Raises:
        UserError: One was given.
    """
    if target not in TARGETS:
        raise UserError(f"no format is called {target!r}; choose one of {', '.join(TARGETS)}")
    if target == "onnx":
        return
    more = {"--no-simplify": not simplify} if target == "qonnx" else {}
    wrong = [option for option, is_given in (given | more).items() if is_given]
    if wrong:
        raise UserError(f"--format {target} takes no {' and no '.join(wrong)}; leave that out")
