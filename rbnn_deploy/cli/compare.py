"""`rbnn-deploy compare`."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbnn_deploy.cli.network import Inputs, ModuleOption, load_network
from rbnn_deploy.cli.output import JsonFile, check_writable, give_result, progress_bar
from rbnn_deploy.cli.remote import (
    REMOTE_PYTHON,
    HostOption,
    RemotePythonOption,
    WheelOption,
    check_no_host_options,
)
from rbnn_deploy.errors import UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.signature import BATCH, INPUT, TensorSpec

if TYPE_CHECKING:
    from rbnn_deploy.cli.samples import Samples
    from rbnn_deploy.comparing.elsewhere import RemoteRuntime

EXIT_DIFFERENCE = 1  # a difference that is not explained
RANDOM_SEED = 0


def compare(
    model: Annotated[Path, typer.Argument(help="A deployed .onnx file.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="The checkpoint that it was exported from; without it torch is left out."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Test images: a CIFAR download, a folder of test/<class>/ or val/<class>/, or 'digits'; "
            "or inputs of any model, by name in a .npz file."
        ),
    ] = None,
    random: Annotated[int | None, typer.Option(help="Compare on this many random inputs instead.")] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Compare on the model's inputs in this .npy or .npz file instead.")
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(help="Outputs that a device computed for the same samples: a .npy or .npz file."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Use this many images, spread over the classes.")
    ] = None,
    runtimes: Annotated[str, typer.Option(help="Comma-separated.")] = "torch,ort,ort-portable,numpy",
    layers: Annotated[
        bool, typer.Option("--layers", help="Also compare the binary layers one by one, bit for bit.")
    ] = False,
    arch: Annotated[str | None, typer.Option(help="Architecture; read off the checkpoint if absent.")] = None,
    module: ModuleOption = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            help="Least share of samples with the same top-1 class, for every pair (0.9 between torch and a "
            "model with int8 float layers if absent)."
        ),
    ] = None,
    max_accuracy_drop: Annotated[
        float | None,
        typer.Option(
            help="How far accuracy may fall below torch's, or below the first runtime's (0.02 for a model "
            "with int8 float layers if absent)."
        ),
    ] = None,
    json: JsonFile = None,
    host: HostOption = None,
    remote_runtime: Annotated[
        str,
        typer.Option(help="With --host: the runtime there, compared with those of --runtimes here."),
    ] = "ort",
    wheel: WheelOption = None,
    remote_python: RemotePythonOption = REMOTE_PYTHON,
) -> None:
    """Run a model in every runtime and in PyTorch, and explain every difference.

    Exit code 1 if a difference cannot be explained, or agreement or accuracy is below its bound.
    """
    from rbnn_deploy import api
    from rbnn_deploy.comparing import Gates, RecordedOutputs
    from rbnn_deploy.comparing import compare as compare_runtimes

    check_no_host_options(host, wheel, remote_python)
    gates = Gates(min_agreement, max_accuracy_drop)
    _check_sources(data, random, inputs, samples)
    if json is not None:
        check_writable(json, model, *([] if checkpoint is None else [checkpoint]))
    if checkpoint is None and (arch is not None or module is not None):
        raise UserError("--arch and --module are of a checkpoint; name it with --checkpoint")
    names = tuple(name.strip() for name in runtimes.split(",") if name.strip())
    torch_module = None
    if "torch" in names:
        if checkpoint is None:
            names = tuple(name for name in names if name != "torch")
        else:
            network = load_network(checkpoint, arch, module, None if module is None else _inputs(model))
            api.check_same_checkpoint(model, network)
            torch_module = network.module
    if len(names) + (host is not None) + (outputs is not None) < 2:
        raise UserError("comparing takes two: name more --runtimes, or a --checkpoint for torch")
    recorded = []
    if outputs is not None:
        recorded = [RecordedOutputs.read(outputs, signature(read_model(model).model.graph))]
    source = _samples(model, data, random, inputs, samples)
    with ExitStack() as stack:
        others = []
        if host is not None:
            others = [stack.enter_context(_open_there(model, host, remote_runtime, wheel, remote_python))]
        advance = stack.enter_context(progress_bar(source.count, "comparing"))
        report = compare_runtimes(
            model,
            torch_module,
            source.batches(advance),
            labels=source.labels,
            runtimes=names,
            layers=layers,
            gates=gates,
            others=others,
            recorded=recorded,
        )
    if max_accuracy_drop is not None and not report.accuracy:
        raise UserError("--max-accuracy-drop needs labels; name labelled images with --data")
    give_result(report.to_text(), report.to_json(), json)
    if not report.ok:
        raise typer.Exit(EXIT_DIFFERENCE)


def _check_sources(data: str | None, random: int | None, inputs: Path | None, samples: int | None) -> None:
    if sum(given is not None for given in (data, random, inputs)) != 1:
        raise UserError(
            "name the images with --data, or ask for inputs with --random or --inputs, one of the three"
        )
    if data is None and samples is not None:
        raise UserError(
            "--samples chooses among the images of --data; --random takes its own number, give one"
        )


def _samples(
    model: Path, data: str | None, random: int | None, inputs: Path | None, limit: int | None
) -> "Samples[Any]":
    from rbnn_deploy.cli.samples import file_samples, random_samples, test_samples

    if random is not None:
        return random_samples(model, random, RANDOM_SEED)
    return file_samples(model, inputs) if inputs is not None else test_samples(model, str(data), limit)


def _open_there(
    model: Path, host_name: str, runtime: str, wheel: Path | None, remote_python: str
) -> "AbstractContextManager[RemoteRuntime]":
    from rbnn_deploy.comparing.elsewhere import open_there
    from rbnn_deploy.remote import RemoteHost, installed_python

    host = RemoteHost(host_name)
    return open_there(model, host, installed_python(host, remote_python, wheel), runtime)


def _inputs(model: Path) -> Inputs:
    """Returns the inputs of the module that a model was exported from, as `load_network` takes them."""
    file = read_model(model)
    if file.metadata is not None and file.metadata.input_shape is not None:
        return {INPUT: TensorSpec(INPUT, "float32", (BATCH, *file.metadata.input_shape))}
    return {spec.name: spec for spec in signature(file.model.graph).inputs}
