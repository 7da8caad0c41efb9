"""Runs the network again with the binary layers' inputs that another subject had.

A flipped bit explains a difference of logits only if nothing else differs, also behind the flip, where the
two subjects no longer compute from the same numbers. So one of them, the judge, repeats the other's run: each
binary layer binarises the recorded values. The judge's own value at that place, and its outputs at the end,
must equal the recorded ones to within rounding. Then every part of the network between two layers has
computed the same from the same bits.

1. PyTorch judges the record of a runtime; the NumPy backend judges between runtimes. Where it lacks an
   operator of the model, PyTorch judges there too; without PyTorch nobody does, and the report says so.
2. Only values that are binarised are replaced. A residual is the judge's own value; it differs by rounding
   alone.
3. A value may differ by `RELATIVE_MARGIN` of itself or of the layer's root mean square, whichever is larger.
   Where the judge or the record has signs alone, signs are compared, and they may differ only where the other
   one's value is that near to the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from rbnn_deploy.comparing.binary_layers import BinaryLayer
from rbnn_deploy.comparing.explaining import RELATIVE_MARGIN
from rbnn_deploy.comparing.traces import Binarised, Feeds, Replay, Trace, rows_of
from rbnn_deploy.errors import UnsupportedModelError
from rbnn_deploy.onnx_graph import producers, signature
from rbnn_deploy.runtimes.numpy_backend.operators import NEW_OPS
from rbnn_deploy.runtimes.operator_model import map_value

Float32 = npt.NDArray[np.float32]


class NumpyJudge:
    """Repeats a run in the NumPy backend.

    Args:
        model: The deployed model; it is not changed.
        layers: Its binary layers.
    """

    def __init__(self, model: onnx.ModelProto, layers: Sequence[BinaryLayer]) -> None:
        cut = onnx.ModelProto()
        cut.CopyFrom(model)
        self._layers = layers
        self._signature = signature(model.graph)
        nodes = producers(cut.graph)
        self._recorded = {layer.name: f"recorded/{layer.name}" for layer in layers}
        for layer in layers:
            nodes[layer.y].input[0] = self._recorded[layer.name]
            cut.graph.input.append(map_value(self._recorded[layer.name], layer.attributes))
        self._model = cut
        self._evaluator: ReferenceEvaluator | None = None

    def replay(self, x: Feeds, recorded: Trace) -> Replay:
        """Repeats a run.

        Args:
            x: The samples of the trace, by input.
            recorded: Another subject's results for them.

        Raises:
            UnsupportedModelError: The NumPy backend lacks an operator of the model.
        """
        outputs = [spec.name for spec in self._signature.outputs]
        names = list(dict.fromkeys([*outputs, *(layer.x for layer in self._layers)]))
        feeds = {
            self._recorded[layer.name]: layer.restored(recorded.inputs[layer.name].x)
            for layer in self._layers
            if layer.name in recorded.inputs
        }
        # A layer whose input is an input of the model has no value of the judge's to look at.
        wanted = [name for name in names if name not in x]
        try:
            if self._evaluator is None:
                self._evaluator = ReferenceEvaluator(self._model, new_ops=NEW_OPS)
            values = self._evaluator.run(wanted, {**x, **feeds})
        except Exception as error:  # the evaluator raises whatever its operators do
            raise UnsupportedModelError(f"the NumPy backend cannot repeat a run: {error}") from error
        found = dict(zip(wanted, values, strict=True))
        own = {layer.name: layer.shifted(found[layer.x]) for layer in self._layers if layer.x in found}
        return Replay(
            outputs={name: found[name] for name in outputs},
            own=own,
            signs_only=frozenset(layer.name for layer in self._layers if layer.signs_only),
        )


def problem(
    judge: Replay, recorded: Trace, layers: Sequence[str], sample: int, tolerances: Mapping[str, float]
) -> str:
    """Says where a judge's repetition of a run departs from the record.

    Args:
        judge: The repetition.
        recorded: The run.
        layers: Names of the binary layers in graph order.
        sample: Index in both.
        tolerances: Difference of a value that is allowed, by output.

    Returns:
        A clause that names the place; empty where there is none.
    """
    for name in layers:
        if name not in judge.own or name not in recorded.inputs:
            continue
        want = recorded.of_sample(name, sample)
        rows = rows_of(len(judge.own[name]), recorded.samples, sample)
        own = replace(want, x=judge.own[name][rows], signs_only=name in judge.signs_only)
        if _apart(own, want):
            return f"from the same bits, the steps in front of layer {name} compute something else"
    for name, tolerance in tolerances.items():
        left, right = (side.outputs[name][sample].astype(np.float64) for side in (judge, recorded))
        with np.errstate(invalid="ignore"):
            near = (np.abs(left - right) <= tolerance) | (left == right)
        if not (near | (np.isnan(left) & np.isnan(right))).all():
            return "from the same bits, the steps behind the last binary layer compute something else"
    return ""


def _apart(own: Binarised, want: Binarised) -> bool:
    """Tells whether one sample's inputs of a layer are further apart than rounding can bring them."""
    if own.signs_only and want.signs_only:
        return bool((own.bits != want.bits).any())
    a, b = (side.x.astype(np.float64) for side in (own, want))
    floats = a if want.signs_only else b
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(floats), np.sqrt(np.mean(np.square(floats))))
        if own.signs_only or want.signs_only:
            t = want.t.astype(np.float64).reshape(-1, 1, 1, 1)
            near = np.abs(floats - t) <= RELATIVE_MARGIN * size
            return bool(((own.bits != want.bits) & ~near).any())
        near = (np.abs(a - b) <= RELATIVE_MARGIN * size) | (a == b) | (np.isnan(a) & np.isnan(b))
    return not bool(near.all())
