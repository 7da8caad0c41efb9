"""What follows a binary layer per channel becomes part of its scale and bias: BatchNorm, Mul, Add, Sub, Div.

1. Where only the sign of the result is read, it is a comparison of the integer sum: each step is monotone,
   also after rounding, so one integer per channel parts the sums whose result is >= 0 from the others. It is
   found by bisection with the steps themselves, in float32. The layer then computes acc - (T - 1/2), or
   (T + 1/2) - acc for a falling one, which are exact and never 0: the same bits, whatever was rounded.
2. Elsewhere the steps are composed in float64 and rounded once, as everywhere in this program.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx.graph import Writer, constant_array, floating, integer, operand, replace
from rbnn_deploy.exporters.qonnx.levels import only_signs_are_read, reader_of
from rbnn_deploy.exporters.qonnx.read_binary_layers import BinaryLayer
from rbnn_deploy.operators import BINARY_CONV2D_OPERATOR

Float32Array = npt.NDArray[np.float32]
SCALE, BIAS = map(BINARY_CONV2D_OPERATOR.index, ("scale", "bias"))
EXACT_HALVES = 1 << 22  # below it, x + 1/2 is exact in float32


@dataclass(frozen=True)
class Step:
    """One step behind a layer.

    Attributes:
        compute: float32 [O] -> float32 [O], each operation rounded as a runtime does.
        affine: The same map in float64.
    """

    compute: Callable[[Float32Array], Float32Array]
    affine: ChannelAffine


def take_steps(graph: ir.Graph, layers: Sequence[BinaryLayer], *, exact: bool = True) -> None:
    """Lets every layer take up the steps behind it, in place.

    Args:
        graph: With plain binary convolutions.
        layers: Those that were read.
        exact: Whether rule 1 is used; without it, every layer's output has the values that the file gives it.
    """
    for layer in layers:
        _take(graph, layer, exact=exact)


def _take(graph: ir.Graph, layer: BinaryLayer, *, exact: bool) -> None:
    scale, bias = (constant_array(operand(layer.conv, index)) for index in (SCALE, BIAS))
    assert scale is not None
    assert bias is not None
    outputs, end, steps, nodes = scale.size, layer.result, [], []
    while (node := reader_of(end, graph)) is not None:
        step = _step(node, end, outputs, layer.rank)
        if step is None:
            break
        steps.append(step)
        nodes.append(node)
        end = node.outputs[0]
    if not steps:
        return
    if exact and layer.products < EXACT_HALVES and only_signs_are_read(end):
        first = Step(lambda acc: acc * scale + bias, ChannelAffine(scale.astype(float), bias.astype(float)))
        affine = _comparison([first, *steps], layer.products, outputs)
    else:
        affine = ChannelAffine(scale.astype(np.float64), bias.astype(np.float64))
        for step in steps:
            affine = step.affine.after(affine)
    for index, array in zip((SCALE, BIAS), affine.rounded(), strict=True):
        layer.conv.replace_input_with(index, Writer(layer.conv).constant(array))
    replace(end, layer.result)
    for node in reversed(nodes):
        graph.remove(node, safe=True)


def _comparison(steps: Sequence[Step], most: int, outputs: int) -> ChannelAffine:
    """Returns the comparison (rule 1) of sums from -most to most."""

    def positive(acc: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        values = acc.astype(np.float32)
        with np.errstate(over="ignore"):
            for step in steps:
                values = step.compute(values)
        return values >= 0

    at_most, at_least = np.full(outputs, most, np.int64), np.full(outputs, -most, np.int64)
    rising = positive(at_most)  # or positive everywhere
    constant = rising == positive(at_least)
    low, high = at_least.copy(), at_most.copy()  # the sign changes behind low, at high at the latest
    while (high - low > 1).any():
        middle = (low + high) // 2
        beyond = positive(middle) == rising
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    direction = np.where(rising, 1.0, -1.0)
    offset = np.where(constant, most + 0.5, 0.5 - high)
    return ChannelAffine(np.where(constant, 1.0, direction), direction * offset)


def _step(node: ir.Node, value: ir.Value, outputs: int, rank: int) -> Step | None:
    """Returns what a node does per channel to a value; None where it does anything else."""
    if node.op_type == "BatchNormalization":
        return _batch_norm(node, value)
    if node.op_type not in ("Mul", "Add", "Sub", "Div") or node.inputs[0] is node.inputs[1]:
        return None
    index = 1 - list(node.inputs).index(value)
    row = _row(constant_array(node.inputs[index]), outputs, rank)
    if row is None or not np.isfinite(row).all():
        return None
    return _arithmetic(node.op_type, row, constant_first=index == 0)


def _arithmetic(op_type: str, row: Float32Array, *, constant_first: bool) -> Step | None:
    wide, one, zero = row.astype(np.float64), np.ones(row.size), np.zeros(row.size)
    if op_type == "Mul":
        return Step(lambda x: x * row, ChannelAffine(wide, zero))
    if op_type == "Add":
        return Step(lambda x: x + row, ChannelAffine(one, wide))
    if op_type == "Sub" and constant_first:
        return Step(lambda x: row - x, ChannelAffine(-one, wide))
    if op_type == "Sub":
        return Step(lambda x: x - row, ChannelAffine(one, -wide))
    if constant_first or not row.all():  # no map of this kind
        return None
    return Step(lambda x: x / row, ChannelAffine(1 / wide, zero))


def _batch_norm(node: ir.Node, value: ir.Value) -> Step | None:
    given = [constant_array(operand(node, index)) for index in range(1, 5)]
    arrays = [array.astype(np.float32) for array in given if array is not None]
    if len(arrays) != len(given) or node.inputs[0] is not value or integer(node, "training_mode", 0):
        return None
    if any(output.uses() for output in node.outputs[1:]) or not all(np.isfinite(a).all() for a in arrays):
        return None
    gamma, beta, mean, var = arrays
    eps = np.float32(floating(node, "epsilon", 1e-5))
    if (var + eps <= 0).any():
        return None
    # As ONNX Runtime computes it.
    factor = (1 / np.sqrt(var + eps)) * gamma
    offset = beta - mean * factor
    affine = ChannelAffine.from_batch_norm(gamma, beta, mean, var, float(eps))
    return Step(lambda x: x * factor + offset, affine)


def _row(array: npt.NDArray[np.float32] | None, outputs: int, rank: int) -> Float32Array | None:
    """Returns a constant that differs along the second axis only, as [O]; else None."""
    if array is None or array.ndim > rank or array.dtype != np.float32:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(size != 1 for axis, size in enumerate(shape) if axis != 1) or shape[1] not in (1, outputs):
        return None
    return np.broadcast_to(array.reshape(-1), (outputs,))
