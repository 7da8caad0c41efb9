"""Brings what follows a MaxPool in front of it, where the binary layer's epilogue takes it up for nothing.

A maximum commutes with a non-decreasing function, to the bit, because rounding is monotone as well.

1. BatchNormalization, a map m x + a per channel. With s = sign(m) (+1 for 0), |m| x + s a does not decrease,
   so m max(x) + a = s max(|m| x + s a). Where no m is negative the outer product with s is left out.
2. Clip and Relu do not decrease: Clip(max(x)) = max(Clip(x)).
3. Clip(s x, -c, c) = s Clip(x, -c, c) for s of +1 and -1, which lets rule 2 follow rule 1.
"""

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    only_reader,
    operand,
    path_name,
    remove,
    replace,
)
from rbnn_deploy.exporters.onnx.layout.handlers.linear import batch_norm_affine
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import is_plain_binary_conv

EPILOGUE = ("Add", "Mul", "Clip", "Relu")
ACTIVATIONS = ("Clip", "Relu")


class HoistAboveMaxPool(ExplainedPass):
    """Brings BatchNormalization and activations in front of the max pools behind binary layers.

    Precondition: the graph is channels-first. Elsewhere it would only mean more work in front of the pool.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for pool in [node for node in graph if node.op_type == "MaxPool" and node.domain == ""]:
            if len(pool.outputs) != 1 or not _pools_binary_layer(pool):
                continue
            end = pool  # the pool, or the product with signs behind it
            while (reader := only_reader(end.outputs[0])) is not None:
                if reader.op_type == "BatchNormalization" and end is pool:
                    refusal, end = _hoist_batch_norm(pool, reader)
                elif reader.op_type in ACTIVATIONS and reader.inputs[0] is end.outputs[0]:
                    refusal = _hoist_activation(pool, end, reader)
                else:
                    break
                if refusal:
                    self.note(
                        pool, f"not hoisted in front of it: {reader.op_type}, because {refusal}", done=False
                    )
                    break
                self.note(pool, f"hoisted in front of it: {reader.op_type}")
                modified = True
        return modified


def _pools_binary_layer(pool: ir.Node) -> bool:
    value = pool.inputs[0]
    while value is not None and only_reader(value) is not None and (node := value.producer()) is not None:
        if is_plain_binary_conv(node):
            return True
        if node.op_type not in EPILOGUE:
            return False
        value = node.inputs[0]
    return False


def _before_pool(pool: ir.Node, value: ir.Value) -> None:
    pool.replace_input_with(0, value)


def _channel(writer: Writer, array: npt.NDArray[np.float64]) -> ir.Value:
    return writer.constant(array.astype(np.float32).reshape(-1, 1, 1))


def _hoist_batch_norm(pool: ir.Node, norm: ir.Node) -> tuple[str, ir.Node]:
    """Applies rule 1; returns why not, and the node that now ends the chain."""
    affine, x = batch_norm_affine(norm), pool.inputs[0]
    assert x is not None
    if affine is None:
        return "the statistics are not constant", pool
    sign = np.where(affine.multiplier < 0, -1.0, 1.0)
    writer = Writer(pool)
    multiplier, offset = (_channel(writer, sign * array) for array in (affine.multiplier, affine.offset))
    scaled = writer.node("Mul", x, multiplier, like=x, name=path_name(norm.name or "", "Mul"))
    shifted = writer.node("Add", scaled, offset, like=x, name=path_name(norm.name or "", "Add"))
    _before_pool(pool, shifted)
    result = pool.outputs[0]
    if not (sign > 0).all():
        behind = Writer(norm)
        result = behind.node("Mul", result, _channel(behind, sign), like=result, name=norm.name)
    replace(norm.outputs[0], result)
    remove([norm])
    end = result.producer()
    assert end is not None
    return "", end


def _hoist_activation(pool: ir.Node, end: ir.Node, activation: ir.Node) -> str:
    """Applies rule 2, behind a product with signs after rule 3."""
    bounds = [constant_array(operand(activation, index)) for index in (1, 2)]
    if any(array is None and operand(activation, i + 1) is not None for i, array in enumerate(bounds)):
        return "its bounds are not constant"
    if end is not pool and (
        bounds[0] is None or bounds[1] is None or not np.array_equal(bounds[0], -bounds[1])
    ):
        return "its bounds are not symmetric, and some channels change their sign"
    x = pool.inputs[0]
    assert x is not None
    writer = Writer(pool)
    bound_values = [None if array is None else writer.constant(array) for array in bounds]
    inputs = [x, *bound_values[: max(0, len(activation.inputs) - 1)]]
    (activated,) = writer.copy(activation, inputs)
    activated.shape, activated.type = x.shape, x.type
    _before_pool(pool, activated)
    replace(activation.outputs[0], end.outputs[0])
    remove([activation])
    return ""
