"""A whole model in NumPy, by onnx's reference evaluator with the bitwise BinaryConv2d."""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx.reference import ReferenceEvaluator

from rbnn_deploy.errors import UnsupportedModelError, UserError
from rbnn_deploy.model_files import read_model
from rbnn_deploy.onnx_graph import producers, signature
from rbnn_deploy.runtimes.base import Runtime, check_signature
from rbnn_deploy.runtimes.numpy_backend import operators
from rbnn_deploy.runtimes.numpy_backend.in_order import IN_ORDER_OPS
from rbnn_deploy.runtimes.numpy_backend.operators import NEW_OPS
from rbnn_deploy.signature import Array, count_samples


class NumpyRuntime(Runtime):
    """A model in the bitwise NumPy backend.

    A batch is computed whole, since a model may mix its samples, and the evaluator keeps every tensor of the
    graph until its end: memory grows with the batch that the caller chooses.

    Args:
        path: The .onnx file.
        in_order: Sum float layers one term after the other, as generated C does; slower, and the same bits on
            every processor.

    Raises:
        UserError: The file is missing, damaged, or takes inputs of other types.
        UnsupportedModelError: It uses an operator unknown here; `run` raises it for a form of one.
    """

    name = "numpy"

    def __init__(self, path: str | Path, *, in_order: bool = False) -> None:
        self.path = Path(path)
        file = read_model(self.path)
        model, self.metadata = file.model, file.metadata
        self.signature = signature(model.graph)
        check_signature(self.path, self.signature)
        self._values = producers(model.graph).keys()
        try:
            self._evaluator = ReferenceEvaluator(model, new_ops=IN_ORDER_OPS if in_order else NEW_OPS)
        except Exception as error:  # the evaluator loads each operator, which raises whatever it does
            raise UnsupportedModelError(
                f"the NumPy backend cannot load {path}: {_line(error)}; use --runtime ort"
            ) from error

    def _run(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        for name in names:
            if name not in self._values:
                raise UserError(f"{self.path} has no tensor named {name}; look at its graph in Netron")
        # Some of onnx's operators divide by the batch's size; in a model of ours all values start with N.
        if count_samples(feeds) == 0 and self.metadata is not None:
            one = {name: np.zeros((1, *x.shape[1:]), x.dtype) for name, x in feeds.items()}
            return {name: value[:0] for name, value in self._evaluate(one, names).items()}
        return self._evaluate(feeds, names)

    def _evaluate(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        try:
            values = self._evaluator.run(list(names), dict(feeds))
        except Exception as error:  # the evaluator raises whatever its operators do
            kind = UserError if _in_binary_layer(error) else UnsupportedModelError
            raise kind(
                f"the NumPy backend cannot run {self.path}: {_line(error)}; use --runtime ort"
            ) from error
        return dict(zip(names, values, strict=True))


def _in_binary_layer(error: Exception) -> bool:
    """Whether an operator of ours raised it, and not one of onnx's."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__") == operators.__name__ for frame in frames)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
