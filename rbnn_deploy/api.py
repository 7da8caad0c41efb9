"""The Python interface behind the command line, which uses both exporters and runtimes.

Names are re-exported by `rbnn_deploy`; torch is imported only by the functions that need it.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbnn_deploy.data import LabelledImages, load_test_images, load_train_images, preprocessing_of
from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.input_image import FLOAT32_NCHW, INPUT_FORMATS, batch_size
from rbnn_deploy.inspecting import NetworkSummary, inspect_onnx, read_metadata
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.pytorch.checkpoints.formats import START_LENGTH, is_checkpoint
from rbnn_deploy.signature import INPUT, Inputs, Signature, TensorSpec

FLOAT_LAYERS = ("float32", "int8", "exact")
CALIBRATION_RANGES = ("minmax", "percentile", "mse")
# Ranges settle with few images; more only take longer.
CALIBRATION_IMAGES, CALIBRATION_BATCH = 128, 16
COMPARED_IMAGES = 50  # that are decoded at once, at most

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from rbnn_deploy.comparing import ComparisonReport, Gates
    from rbnn_deploy.exporters.c import CExport
    from rbnn_deploy.exporters.onnx import ExportResult
    from rbnn_deploy.exporters.qonnx import ImportResult
    from rbnn_deploy.exporters.web import WebExport
    from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork
    from rbnn_deploy.runtimes import Runtime


def require(extra: str, *modules: str) -> None:
    """Checks that the packages of an extra are installed.

    Raises:
        UserError: One of them is missing.
    """
    import importlib.util  # noqa: PLC0415 - only the commands that train or export need it

    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"not installed: {', '.join(missing)}; run: pip install 'rbnn-deploy[{extra}]'")


def load_checkpoint(
    path: str | Path,
    arch: str | None = None,
    *,
    module: nn.Module | None = None,
    input_shape: tuple[int, ...] | None = None,
    inputs: Mapping[str, Any] | Sequence[Any] | None = None,
) -> LoadedNetwork:
    """Loads a checkpoint of a known network, as the reference or `train` wrote it, or of your own.

    Args:
        path: The file.
        arch: Name of the architecture; None reads it off the state dict.
        module: A network of your own, whose tensors the file holds; it is copied.
        input_shape: Sizes of one sample of its only input, (C, H, W) of an image; None takes the
            checkpoint's, if it has it.
        inputs: In its place, several inputs by name; see `export`.

    Raises:
        UserError: See `rbnn_deploy.pytorch.checkpoints.checkpoint.load_checkpoint` and, with a module,
            `rbnn_deploy.pytorch.checkpoints.own_network.load_own_checkpoint`.
    """
    require("export", "torch")
    if module is not None:
        from rbnn_deploy.pytorch.checkpoints import own_network  # noqa: PLC0415 - imports torch

        if inputs is None and input_shape is not None:
            inputs = {INPUT: input_shape}
        return own_network.load_own_checkpoint(path, module, inputs)
    from rbnn_deploy.pytorch.checkpoints import checkpoint  # noqa: PLC0415 - imports torch

    return checkpoint.load_checkpoint(Path(path), arch)


def checkpoint_metadata(network: LoadedNetwork) -> ModelMetadata:
    """Returns the metadata for the deployed model of a checkpoint."""
    return ModelMetadata(
        architecture=network.architecture,
        input_shape=network.input_shape,
        num_classes=network.num_classes,
        mean=network.mean,
        std=network.std,
        resize=network.resize,
        class_names=network.class_names,
        checkpoint_sha256=network.sha256,
    )


def check_same_checkpoint(model: str | Path, network: LoadedNetwork) -> None:
    """Checks that a deployed model was exported from a checkpoint.

    Raises:
        UserError: The model names another checkpoint, or is no model.
    """
    metadata = read_metadata(Path(model))
    if metadata is not None and metadata.checkpoint_sha256 not in (None, network.sha256):
        raise UserError(
            f"{model} was exported from another checkpoint (SHA-256 {metadata.checkpoint_sha256}); "
            "name that one, or export again"
        )


def export(
    source: nn.Module | LoadedNetwork | str | Path,
    path: str | Path,
    *,
    arch: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    inputs: Mapping[str, Any] | Sequence[Any] | None = None,
    output_names: Sequence[str] | None = None,
    metadata: ModelMetadata | None = None,
    opset: int = 18,
    simplify: bool = True,
    float_layers: str = "float32",
    calibration: str | Path | None = None,
    calibration_range: str = "minmax",
    check: bool = True,
    input_format: str = FLOAT32_NCHW,
    dynamic_size: bool = False,
    bits_between_layers: bool = False,
) -> ExportResult:
    """Folds a network and writes one .onnx file.

    Args:
        source: A checkpoint file, what `load_checkpoint` made of one, or any torch module that contains
            binary layers and returns float32 tensors, alone or in tuples and dicts.
        path: The file to write; it appears whole or not at all.
        arch: Architecture of the checkpoint; None reads it off the state dict.
        input_shape: Sizes of one sample of a module's only input, (C, H, W) of an image; a checkpoint brings
            its own.
        inputs: In its place, by name, the sizes of one sample of each input, or an example with the batch
            first, which also tells the type. The names are those of forward's arguments, or any others; then
            their order counts. A list or tuple takes the names of forward's arguments.
        output_names: In the order of the tensors that the module returns; None for the keys of dicts,
            `output_0`, `output_1` ... of tuples, and `logits` of one tensor alone.
        metadata: Facts that the file holds: normalisation, class names. Each that is given replaces the
            checkpoint's. Without it, the file of a module holds its class and input shape only, and a warning
            says so.
        opset: Version of ONNX's default domain, at least 18.
        simplify: Simplify, change to channels-last layout and fuse; False leaves torch's own graph.
        float_layers: "float32"; "int8" to let ONNX Runtime quantise the float layers that get faster by it;
            or "exact" for int8 weights and exact sums in all of them (docs/ops/QuantConv2d.md): the same
            outputs, bit for bit, on every processor and in every runtime.
        calibration: For int8 and exact: images that show the range of each activation; see
            `load_train_images`.
        calibration_range: For exact: "minmax", all that an activation was on these images; "percentile", all
            but the outermost 0.005 % at either end, zeros aside; "mse", what gives the least mean squared
            error.
        check: Run a few random inputs through the module and the model before the file is in place. Of int8
            and exact float layers, which differ from the module by design, the model with float layers is
            compared with the module; outputs of exact ones are compared between ONNX Runtime and NumPy, and
            those of bits between layers with those of floats, bit for bit.
        input_format: "float32-nchw", normalised images, or "uint8-nhwc", pixels [N, H, W, C] as cameras give
            them: the model then holds the normalisation, and its logits have the bits of the other form's.
        dynamic_size: Whether the model takes images of any height and width, if the network does. Commands
            still resize images to the size in the metadata, which `run` of a loaded model need not have.
        bits_between_layers: Whether binary layers pass bits on where the next one reads nothing but signs
            (docs/ops/PackedBinaryConv2d.md). Outputs keep their bits.

    Raises:
        UserError: The checkpoint cannot be loaded, the module cannot be exported, the model computes
            something else (`check_export`), the file cannot be written.
    """
    require("export", "torch", "onnxscript", "onnxsim")
    from rbnn_deploy.exporters.onnx import export_onnx  # noqa: PLC0415 - imports torch
    from rbnn_deploy.exporters.onnx.export import check_optimized  # noqa: PLC0415 - imports torch

    if float_layers not in FLOAT_LAYERS:
        raise UserError(f"float layers cannot be {float_layers!r}; choose one of {', '.join(FLOAT_LAYERS)}")
    if (float_layers != "float32") != (calibration is not None):
        raise UserError("int8 or exact float layers need calibration images, and only they do; give both")
    check_optimized(
        simplify,
        int8=float_layers == "int8",
        exact=float_layers == "exact",
        bits_between_layers=bits_between_layers,
    )
    if calibration_range not in CALIBRATION_RANGES:
        choices = ", ".join(CALIBRATION_RANGES)
        raise UserError(f"a calibration range cannot be {calibration_range!r}; choose one of {choices}")
    if calibration_range != CALIBRATION_RANGES[0] and float_layers != "exact":
        raise UserError("a calibration range belongs to exact float layers; leave it out, or choose these")
    if input_format not in INPUT_FORMATS:
        raise UserError(f"a model cannot take {input_format!r}; choose one of {', '.join(INPUT_FORMATS)}")
    if dynamic_size and input_format != FLOAT32_NCHW:
        raise UserError(f"a model of {input_format} has one size; leave out the dynamic size, or the pixels")
    module, metadata, takes = _module_and_metadata(source, path, arch, input_shape, metadata, inputs)
    if input_format != FLOAT32_NCHW:
        metadata = replace(metadata, input_format=input_format)
    batches = None
    if calibration is not None:
        if metadata.input_shape is None:
            raise UserError(
                f"{metadata.architecture} takes no images, by which int8 and exact float layers are "
                "calibrated; export it with float32 ones"
            )
        size = batch_size(metadata.image.input_shape, CALIBRATION_BATCH)
        images = _calibration_images(calibration)
        normalised = replace(metadata, input_format=None)  # layers are quantised before pixels are added
        batches = (x for x, _ in images.batches(size, preprocessing_of(normalised)))
    write = partial(
        export_onnx,
        module,
        metadata=metadata,
        opset=opset,
        optimize=simplify,
        inputs=takes,
        output_names=output_names,
        dynamic_size=dynamic_size,
    )
    quantised: Callable[..., ExportResult] = write
    if batches is not None:
        several = list(batches) if check and bits_between_layers else batches  # else one file reads them
        quantised = (
            partial(_write_exact, write, several, calibration_range)
            if float_layers == "exact"
            else partial(write, calibration=several)
        )
    if not check:
        return quantised(path, bits_between_layers=bits_between_layers)
    return _checked(
        module,
        Path(path),
        write=write,
        quantised=None if batches is None else quantised,
        bits_between_layers=bits_between_layers,
        exact=float_layers == "exact",
    )


def _checked(
    module: nn.Module,
    path: Path,
    *,
    write: Callable[..., ExportResult],
    quantised: Callable[..., ExportResult] | None,
    bits_between_layers: bool,
    exact: bool,
) -> ExportResult:
    """Writes a model, and compares every file on the way to it with the one before.

    Args:
        module: The network.
        path: The file to write.
        write: Writes the network with float layers.
        quantised: Writes it with int8 or exact ones in their place; None if the network keeps them.
        bits_between_layers: See `export`.
        exact: Whether the outputs must be the same with the operator library and without it.
    """
    from rbnn_deploy.comparing.export_check import (  # noqa: PLC0415 - loads onnxruntime
        check_exact,
        check_export,
        check_same_outputs,
    )

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "float.onnx"
        result = write(model)
        check_export(model, module)
        if quantised is not None:
            model = Path(folder) / "quantised.onnx"
            result = quantised(model)
        if bits_between_layers:
            with_floats, model = model, Path(folder) / "bits.onnx"
            result = (quantised or write)(model, bits_between_layers=True)
            check_same_outputs(with_floats, model)
        if exact:
            check_exact(model)
        atomic_write_bytes(path, model.read_bytes())
    return replace(result, path=path)


def _write_exact(
    write: Callable[..., ExportResult],
    batches: Iterable[npt.NDArray[np.float32]],
    calibration_range: str,
    path: str | Path,
    **options: Any,
) -> ExportResult:
    """Writes a model whose float layers are exact; `options` are those of `export_onnx`."""
    from rbnn_deploy.runtimes.value_histograms import value_histograms  # noqa: PLC0415 - loads onnxruntime
    from rbnn_deploy.value_histogram import BINS  # noqa: PLC0415

    bins = 0 if calibration_range == "minmax" else BINS
    measure = partial(value_histograms, batches=batches, bins=bins)
    return write(path, measure=measure, range_rule=calibration_range, **options)


def _module_and_metadata(
    source: nn.Module | LoadedNetwork | str | Path,
    path: str | Path,
    arch: str | None,
    input_shape: tuple[int, ...] | None,
    metadata: ModelMetadata | None,
    inputs: Mapping[str, Any] | Sequence[Any] | None = None,
) -> tuple[nn.Module, ModelMetadata, tuple[TensorSpec, ...] | None]:
    """Returns the network to write, what its file is to hold, and its inputs; see `export` for the arguments.

    The inputs are None where they are one batch of images, whose size the metadata tell.
    """
    takes: tuple[TensorSpec, ...] | None = None
    from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork  # noqa: PLC0415 - imports torch

    if isinstance(source, str | Path):
        if Path(path).exists() and Path(source).exists() and Path(path).samefile(source):
            raise UserError(f"{path} is the checkpoint itself; name another file for the model")
        source = load_checkpoint(source, arch)
    if isinstance(source, LoadedNetwork):
        if inputs is not None:
            raise UserError("a checkpoint has inputs of its own; pass them to load_checkpoint")
        module, metadata = source.module, _merged(checkpoint_metadata(source), metadata)
        if source.input_shape is None:
            takes = source.inputs
    else:
        from rbnn_deploy.pytorch.folding.fold import unwrapped  # noqa: PLC0415 - imports torch

        module = unwrapped(source)
        metadata = metadata or ModelMetadata(architecture=type(module).__name__)
        takes, metadata = _module_inputs(module, inputs, input_shape, metadata)
    if metadata.input_shape is not None and metadata.mean is None and metadata.std is None:
        warnings.warn(
            f"{metadata.architecture} is exported without mean and std, so images will be scaled to [0, 1] "
            "and not normalised; pass metadata=rbnn_deploy.ModelMetadata(...), or --mean and --std, as it "
            "was trained",
            stacklevel=3,
        )
    return module, metadata, takes


def export_qonnx(
    source: nn.Module | LoadedNetwork | str | Path,
    path: str | Path,
    *,
    arch: str | None = None,
    input_shape: tuple[int, int, int] | None = None,
    metadata: ModelMetadata | None = None,
    opset: int = 18,
    check: bool = True,
) -> ExportResult:
    """Folds a network and writes it as QONNX (docs/qonnx.md).

    Args:
        source: See `export`.
        path: The file to write; it appears whole or not at all.
        arch: See `export`.
        input_shape: See `export`.
        metadata: See `export`.
        opset: See `export`.
        check: Read the file back as a deployed model before it is in place, and run a few random inputs
            through the module and that model.

    Raises:
        UserError: The checkpoint cannot be loaded, the network has no form in QONNX, the file computes
            something else (`check_export`), the file cannot be written.
    """
    require("export", "torch", "onnxscript", "onnxsim")
    from rbnn_deploy.exporters.qonnx import export_qonnx as write  # noqa: PLC0415 - imports torch

    module, metadata, _ = _module_and_metadata(source, path, arch, input_shape, metadata)
    if metadata.input_shape is None:
        raise UserError("QONNX is written for networks of one image; write ONNX for this one")
    if not check:
        return write(module, path, metadata, opset=opset)
    with tempfile.TemporaryDirectory() as folder:
        unchecked = Path(folder) / "model.qonnx.onnx"
        result = write(module, unchecked, metadata, opset=opset)
        _check_qonnx(unchecked, Path(folder) / "model.onnx", module)
        atomic_write_bytes(Path(path), unchecked.read_bytes())
    return replace(result, path=Path(path))


def _check_qonnx(file: Path, model: Path, module: nn.Module) -> None:
    """Reads a QONNX file back as a deployed model, and compares that with the module."""
    from rbnn_deploy.comparing.export_check import check_export  # noqa: PLC0415 - loads onnxruntime
    from rbnn_deploy.exporters.qonnx import import_qonnx as read  # noqa: PLC0415 - imports torch

    try:
        read(file, model, exact=False)
    except UserError as error:
        reason = str(error).replace(str(file), "the file")
        warnings.warn(f"the QONNX file was not checked: {reason}", stacklevel=3)
        return
    check_export(model, module)


def _module_inputs(
    module: nn.Module, inputs: Any, input_shape: Any, metadata: ModelMetadata
) -> tuple[tuple[TensorSpec, ...] | None, ModelMetadata]:
    """Returns the description of a module's inputs, and metadata that agree with it.

    Raises:
        UserError: Nothing tells the inputs, or two things contradict each other.
    """
    from rbnn_deploy.pytorch.module_inputs import describe_inputs, image_shape  # noqa: PLC0415 - imports torch

    if inputs is not None and input_shape is not None:
        raise UserError("inputs and input_shape both describe the module's inputs; give one of them")
    if inputs is None and input_shape is None:
        if metadata.input_shape is None:
            raise UserError(
                "a module does not tell its input's shape; pass input_shape=(C, H, W), or "
                "inputs={name: sizes}"
            )
        return None, metadata
    takes = describe_inputs(module, {INPUT: input_shape} if inputs is None else inputs)
    image = image_shape(takes)
    if metadata.input_shape not in (None, image):
        raise UserError(
            f"the metadata's input_shape is {metadata.input_shape}, and the inputs are "
            f"{Signature(takes, ()).describe_inputs()}; leave one of them out"
        )
    return takes, replace(metadata, input_shape=image)


def import_qonnx(
    source: str | Path,
    path: str | Path,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    class_names: tuple[str, ...] | None = None,
    opset: int = 18,
    check: bool = True,
) -> ImportResult:
    """Reads a QONNX model and writes it as a deployed model (docs/qonnx.md).

    Args:
        source: The QONNX file.
        path: The file to write; it appears whole or not at all.
        mean: Of the images; None takes what the file says, if it does.
        std: Likewise.
        class_names: In logit order; likewise.
        opset: Version of ONNX's default domain, at least 18; a newer one of the file stays.
        check: Run a few random inputs through the file's own float network and through the model before it is
            in place.

    Raises:
        UserError: The file is no QONNX model or has no binary layer, the model computes something else
            (`check_import`), the file cannot be written.
    """
    require("export", "torch", "onnxscript", "onnxsim")
    from rbnn_deploy.exporters.qonnx import import_qonnx as read  # noqa: PLC0415 - imports torch
    from rbnn_deploy.exporters.qonnx import write_reference  # noqa: PLC0415

    if Path(path).exists() and Path(source).exists() and Path(path).samefile(source):
        raise UserError(f"{path} is the QONNX file itself; name another file for the model")
    with tempfile.TemporaryDirectory() as folder:
        unchecked, reference = Path(folder) / "model.onnx", Path(folder) / "reference.onnx"
        result = read(source, unchecked, mean=mean, std=std, class_names=class_names, opset=opset)
        if check:
            from rbnn_deploy.comparing.import_check import check_import  # noqa: PLC0415 - loads onnxruntime

            write_reference(source, reference, opset=opset)
            check_import(unchecked, reference)
        atomic_write_bytes(Path(path), unchecked.read_bytes())
    return replace(result, path=Path(path))


def _merged(known: ModelMetadata, given: ModelMetadata | None) -> ModelMetadata:
    """Returns metadata in which each value that is given replaces the one that is known."""
    if given is None:
        return known
    return replace(known, **{k: v for k, v in vars(given).items() if v is not None})


def export_c(model: str | Path, folder: str | Path) -> CExport:
    """Writes a deployed model as standalone C99 (docs/c.md).

    Args:
        model: The .onnx file.
        folder: To make; one that holds an earlier export, or nothing, is replaced.

    Raises:
        UserError: The model cannot be read or has a node that has no C code, or the folder cannot be written.
    """
    from rbnn_deploy.exporters.c import export_c as write  # noqa: PLC0415 - so that running needs no exporter

    return write(model, folder, _numpy_judge(model))


def export_web(model: str | Path, folder: str | Path, onnxruntime_web: str | Path | None = None) -> WebExport:
    """Writes a deployed model as a web page (docs/web.md).

    Args:
        model: The .onnx file.
        folder: To make; one that holds an earlier export, or nothing, is replaced.
        onnxruntime_web: The folder `dist` of the npm package onnxruntime-web, for a page that can compare
            itself with it.

    Raises:
        UserError: The package ziglang is not installed, the model cannot be read, has a node that has no C
            code or does not take images of 1 or 3 channels, or the folder cannot be written.
    """
    from rbnn_deploy.exporters.web import export_web as write  # noqa: PLC0415 - so that running needs no exporter

    return write(model, folder, _numpy_judge(model), onnxruntime_web)


def _numpy_judge(model: str | Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Returns a function that computes a model's outputs in the order of generated C."""
    from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime  # noqa: PLC0415

    def judge(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        outputs: npt.NDArray[np.float32] = NumpyRuntime(model, in_order=True).run(x)
        return outputs

    return judge


def _calibration_images(source: str | Path) -> LabelledImages:
    """Loads a few training images, or, if a data set has none, a few of its other images."""
    try:
        return load_train_images(source, CALIBRATION_IMAGES)
    except UserError:
        return load_test_images(source, CALIBRATION_IMAGES)


def load_model(path: str | Path | None = None, runtime: str = "ort", threads: int | None = None) -> Runtime:
    """Loads a deployed model.

    Args:
        path: The .onnx file; None loads the model that comes with the package, for CIFAR-10's classes.
        runtime: "ort" (ONNX Runtime with the operator library), "ort-portable" (without) or "numpy".
        threads: Computing threads; None leaves the choice to the runtime.

    Raises:
        UserError: The file is missing or not a model, or the runtime is unknown.
    """
    from rbnn_deploy import runtimes  # noqa: PLC0415 - loads onnxruntime

    return runtimes.load_model(EMBEDDED_MODEL if path is None else path, runtime=runtime, threads=threads)


def is_checkpoint_file(file: str | Path) -> bool:
    """Tells a checkpoint from an ONNX model by its first bytes, not by its name.

    Raises:
        UserError: The file cannot be read, or is empty.
    """
    file = Path(file)
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


def check_nothing_given(path: str | Path, *values: object) -> None:
    """Refuses an architecture, a module or an input shape beside a deployed model, which has its own.

    Raises:
        UserError: One was given.
    """
    if any(value is not None for value in values):
        raise UserError(
            f"{path} is a deployed model, which has its own network; name architecture, module and input "
            "shape with a checkpoint only"
        )


def inspect(
    path: str | Path,
    arch: str | None = None,
    *,
    module: nn.Module | None = None,
    input_shape: tuple[int, ...] | None = None,
    inputs: Mapping[str, Any] | Sequence[Any] | None = None,
) -> NetworkSummary:
    """Summarises a checkpoint or a deployed model, layer by layer.

    Args:
        path: The file; its content says which of the two it is.
        arch: Architecture of a checkpoint; None reads it off the state dict.
        module: A network of your own that the checkpoint is of; see `load_checkpoint`.
        input_shape: Sizes of its only input; see `load_checkpoint`.
        inputs: In its place, several inputs by name.

    Raises:
        UserError: See `check_nothing_given`, `load_checkpoint` and `rbnn_deploy.inspecting.inspect_onnx`.
    """
    if not is_checkpoint_file(path):
        check_nothing_given(path, arch, module, input_shape, inputs)
        return inspect_onnx(path)
    network = load_checkpoint(path, arch, module=module, input_shape=input_shape, inputs=inputs)
    from rbnn_deploy.pytorch.inspecting import inspect_network  # noqa: PLC0415 - imports torch

    return inspect_network(network, Path(path))


def compare(
    model: str | Path,
    module: nn.Module | LoadedNetwork | str | Path | None,
    samples: Inputs | Iterable[Inputs] | str | Path,
    labels: Sequence[int] | npt.NDArray[np.integer] | None = None,
    runtimes: Sequence[str] = ("torch", "ort", "ort-portable", "numpy"),
    layers: bool = False,
    *,
    limit: int | None = None,
    threads: int | None = None,
    gates: Gates | None = None,
    progress: Callable[[int], None] | None = None,
) -> ComparisonReport:
    """Compares a deployed model in several runtimes, and with PyTorch; see `rbnn_deploy.comparing.compare`.

    Args:
        model: The .onnx file.
        module: The torch module that it was exported from, or its checkpoint; None leaves torch out.
        samples: An array, such as float32 [N, C, H, W] or, if the model takes pixels, uint8 [N, H, W, C],
            where the model has one input, or arrays by the names of its inputs; or an iterator of such
            batches; or a data set (see `rbnn_deploy.data.load_test_images`), whose images are prepared as the
            model's metadata say.
        labels: The N classes, for accuracies; a data set brings its own.
        runtimes: The runtimes to compare.
        layers: Also compares the binary layers one by one, bit for bit.
        limit: How many images of a data set, spread over its classes; None for all.
        threads: Of ONNX Runtime; None leaves the choice to it.
        gates: Bounds on agreement and accuracy; None for the defaults.
        progress: Called with the number of samples done after each batch.

    Raises:
        UserError: See `rbnn_deploy.comparing.compare`, `load_checkpoint` and `load_test_images`; or the model
            was exported from another checkpoint, or does not say how images become its input.
    """
    from rbnn_deploy.comparing import compare as compare_runtimes  # noqa: PLC0415 - loads onnxruntime

    if module is not None:
        from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork  # noqa: PLC0415 - imports torch

        if isinstance(module, str | Path):
            module = load_checkpoint(module)
        if isinstance(module, LoadedNetwork):
            check_same_checkpoint(model, module)
            module = module.module
    if isinstance(samples, str | Path):
        from rbnn_deploy.classifying import images_for  # noqa: PLC0415 - loads onnxruntime

        found = images_for(model, samples, limit)
        labels, prepare = found.labels, preprocessing_of(found.metadata)
        size = batch_size(found.metadata.image.input_shape, COMPARED_IMAGES)
        samples = (x for x, _ in found.images.batches(size, prepare))
    return compare_runtimes(
        model,
        module,
        samples,
        labels,
        runtimes,
        layers,
        threads=threads,
        gates=gates,
        progress=progress,
    )
