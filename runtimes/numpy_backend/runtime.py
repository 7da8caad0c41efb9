"""A whole model in NumPy, by onnx's reference evaluator with the bitwise BinaryConv2d."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from rbnn_deploy.errors import UnsupportedModelError, UserError
from rbnn_deploy.input_image import Float32
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import dimensions, producers, real_inputs
from rbnn_deploy.runtimes.base import Runtime, check_inputs
from rbnn_deploy.runtimes.numpy_backend import operators
from rbnn_deploy.runtimes.numpy_backend.in_order import IN_ORDER_OPS
from rbnn_deploy.runtimes.numpy_backend.operators import NEW_OPS


class NumpyRuntime(Runtime):
    """A model in the bitwise NumPy backend.

    A batch is computed whole, since a model may mix its samples, and the evaluator keeps every tensor of the
    graph until its end: memory grows with the batch that the caller chooses.

    Args:
        path: The .onnx file.
        in_order: Sum float layers one term after the other, as generated C does; slower, and the same bits on
            every processor.

    Raises:
        UserError: The file is missing, damaged or not a model of images.
        UnsupportedModelError: It uses an operator unknown here; `run` raises it for a form of one.
    """

    name = "numpy"

    def __init__(self, path: str | Path, *, in_order: bool = False) -> None:
        self.path = Path(path)
        file = read_model(self.path)
        model, self.metadata = file.model, file.metadata
        inputs = real_inputs(model.graph)
        check_inputs(self.path, [_describe(value) for value in inputs], len(model.graph.output))
        self.input_name, _, self.input_dims = _describe(inputs[0])
        self.output_name = model.graph.output[0].name
        self._values = producers(model.graph).keys()
        try:
            self._evaluator = ReferenceEvaluator(model, new_ops=IN_ORDER_OPS if in_order else NEW_OPS)
        except Exception as error:  # the evaluator loads each operator, which raises whatever it does
            raise UnsupportedModelError(
                f"the NumPy backend cannot load {path}: {_line(error)}; use --runtime ort"
            ) from error

    def _run(self, x: Float32, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        for name in names:
            if name not in self._values:
                raise UserError(f"{self.path} has no tensor named {name}; look at its graph in Netron")
        # Some of onnx's operators divide by the batch's size; in a model of ours all values start with N.
        if len(x) == 0 and self.metadata is not None:
            one = self._evaluate(np.zeros((1, *x.shape[1:]), np.float32), names)
            return {name: value[:0] for name, value in one.items()}
        return self._evaluate(x, names)

    def _evaluate(self, x: Float32, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        try:
            values = self._evaluator.run(list(names), {self.input_name: x})
        except Exception as error:  # the evaluator raises whatever its operators do
            kind = UserError if _in_binary_layer(error) else UnsupportedModelError
            raise kind(
                f"the NumPy backend cannot run {self.path}: {_line(error)}; use --runtime ort"
            ) from error
        return dict(zip(names, values, strict=True))


def _describe(value: onnx.ValueInfoProto) -> tuple[str, bool, tuple[int | None, ...]]:
    """Returns an input's name, whether it is float32, and its dimensions (None where open)."""
    return value.name, value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT, dimensions(value)


def _in_binary_layer(error: Exception) -> bool:
    """Whether an operator of ours raised it, and not one of onnx's."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__") == operators.__name__ for frame in frames)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
