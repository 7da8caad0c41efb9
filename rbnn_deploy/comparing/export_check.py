"""Does a model that was just exported compute what its module computes? Asked before the file is in place."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbnn_deploy.comparing.compare import compare
from rbnn_deploy.comparing.subjects import signs_of_zero, torch_subject
from rbnn_deploy.comparing.ties import describe_ties
from rbnn_deploy.comparing.traces import TORCH
from rbnn_deploy.errors import UnsupportedModelError, UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.runtimes import Runtime, load_model
from rbnn_deploy.runtimes.library import get_library_path
from rbnn_deploy.signature import Signature

if TYPE_CHECKING:
    from torch import nn

SAMPLES, SEED = 4, 0
RUNTIME = "ort-portable"  # needs nothing but the file
LARGER = (32, 64)  # pixels by which the second size of a network of any size is higher and wider


def check_export(model: Path, module: nn.Module) -> None:
    """Runs random inputs through a module and the model that was exported from it.

    A difference that a bit on its threshold explains is none (`explaining`). If the two cannot be compared, a
    warning says why.

    Args:
        model: The .onnx file.
        module: The module; it is copied, and run on the CPU in evaluation mode.

    Raises:
        UserError: The module gives two results for one input, or the model another one.
    """
    from rbnn_deploy.pytorch.folding.user_code import copied  # noqa: PLC0415 - imports torch

    file = read_model(model)
    takes, shape = signature(file.model.graph), None if file.metadata is None else file.metadata.input_shape
    samples = takes.with_sizes(shape).draw(np.random.default_rng(SEED), SAMPLES)
    if takes.with_sizes(shape) != takes and shape is not None:
        _check_other_size(model, module, takes, shape)
    on_cpu = copied(module).cpu()
    advice = "pass check=False or --no-check to write the model all the same"
    try:
        subject = torch_subject(on_cpu, file)
        twice = subject.run(samples), subject.run(samples)
        same = all(np.array_equal(twice[0][name], twice[1][name], equal_nan=True) for name in twice[0])
        report = compare(model, on_cpu, samples, runtimes=(TORCH, _judge()), layers=True) if same else None
    except UserError as error:
        warnings.warn(f"the exported model was not checked: {error}", stacklevel=4)
        return
    name = type(module).__name__
    if report is None:
        raise UserError(
            f"{name} gives two results for the same input in evaluation mode; give F.dropout "
            f"training=self.training and draw no random numbers there, or {advice}"
        )
    if ties := describe_ties(report.layers or (), signs_of_zero(module)):
        warnings.warn(f"for random inputs, {ties}", stacklevel=4)
    (pair,) = report.pairs
    if pair.unexplained:
        values = "logits" if len(pair.outputs) == 1 else "outputs"
        reason = next(str(explanation) for _, explanation in pair.explanations if not explanation.explains)
        raise UserError(
            f"the exported model computes something else than {name}: {pair.unexplained} of {SAMPLES} random "
            f"inputs have {values} up to {pair.max_abs_diff:.3g} apart ({reason}); look for code that "
            f"changes with the input or the batch, or {advice}"
        )


def check_same_outputs(model: Path, other: Path) -> None:
    """Runs random inputs through two files of one network, whose outputs must be the same bits.

    NumPy runs them or, where it lacks an operator of theirs, ONNX Runtime with the operator library. The
    functions that the files hold are no judge: ONNX Runtime fuses their float steps, and one file has more of
    them.

    Args:
        model: A file that `check_export` has passed.
        other: The same network, written in another way.

    Raises:
        UserError: An output differs.
    """
    for runtime in ("numpy", "ort"):
        try:
            same = _give_equal_outputs(*(load_model(path, runtime=runtime) for path in (model, other)))
        except UnsupportedModelError:
            continue
        if same:
            return
        raise UserError(
            "the model with bits between its layers computes something else than the one without; export it "
            "without them, and please report it"
        )


def check_exact(model: Path) -> None:
    """Runs random inputs through a model of exact float layers with the operator library, and without it.

    The other runtime is NumPy or, where that lacks an operator of the model, ONNX Runtime with the functions
    that the file holds.

    Args:
        model: The .onnx file.

    Raises:
        UserError: An output differs.
    """
    first = load_model(model)
    try:
        same = _give_equal_outputs(first, load_model(model, runtime="numpy"))
    except UnsupportedModelError:
        same = _give_equal_outputs(first, load_model(model, runtime=RUNTIME))
    if not same:
        raise UserError(
            "the model with exact float layers gives other outputs in NumPy than with the operator library; "
            "export it without exact float layers, and please report it"
        )


def _judge() -> str:
    """Returns the runtime to compare with the module: the one with the operator library, if it is installed.

    ONNX Runtime fuses the float steps of the functions in the file, also a BatchNorm into products of signs.
    A sum that is exactly on the next threshold then moves off it, in a right model.
    """
    try:
        get_library_path()
    except UserError:
        return RUNTIME
    return "ort"


def _give_equal_outputs(first: Runtime, second: Runtime) -> bool:
    shape = None if first.metadata is None else first.metadata.input_shape
    samples = first.signature.with_sizes(shape).draw(np.random.default_rng(SEED), SAMPLES)
    with np.errstate(all="ignore"):  # infinities and NaN may be what both compute
        one, another = (runtime.run_outputs(samples) for runtime in (first, second))
    return all(np.array_equal(one[name], another[name], equal_nan=True) for name in one)


def _check_other_size(model: Path, module: nn.Module, takes: Signature, shape: tuple[int, ...]) -> None:
    """Runs a network that is to take any size on images that are larger than those that it was made of."""
    from rbnn_deploy.pytorch.folding.user_code import copied  # noqa: PLC0415 - imports torch

    larger = (shape[0], shape[1] + LARGER[0], shape[2] + LARGER[1])
    samples = takes.with_sizes(larger).draw(np.random.default_rng(SEED), 1)
    try:
        same = compare(model, copied(module).cpu(), samples, runtimes=(TORCH, _judge())).ok
    except Exception:  # whatever a module's own code raises
        same = False
    if not same:
        raise UserError(
            f"{type(module).__name__} takes images of one size only: it or its model fails at "
            f"{larger[1]} x {larger[2]} pixels; pool its last map to a fixed size, or leave that out"
        )
