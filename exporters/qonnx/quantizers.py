"""QONNX's quantisers: on constants, as BipolarQuant where they are one, and in standard operators.

    BipolarQuant(x, s) = s where x >= 0, else -s
    Quant(x, s, z, bits) = (round(clip(x / s + z, low, high)) - z) * s

Quant of one signed bit with z = 0 and a positive scale is BipolarQuant, and so is a MultiThreshold of one
threshold per channel, of whose two levels one is the other's negative:

    MultiThreshold(x, T) = BipolarQuant(x - T, out_scale / 2)     where out_bias = -out_scale / 2
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    floating,
    integer,
    operand,
    remove,
    replace,
    text,
)
from rbnn_deploy.exporters.qonnx.domain import BIPOLAR_QUANT, MULTI_THRESHOLD, QONNX_DOMAIN, QUANT
from rbnn_deploy.text import printable

Float32Array = npt.NDArray[np.float32]

ROUNDING: Mapping[str, tuple[str, Callable[[Float32Array], Float32Array]]] = {
    "ROUND": ("Round", np.round),  # half to even, both
    "HALF_EVEN": ("Round", np.round),
    "FLOOR": ("Floor", np.floor),
    "CEIL": ("Ceil", np.ceil),
}


def refusal(node: ir.Node, clause: str) -> UserError:
    """Returns the error about a node of a QONNX model."""
    name = printable(str(node.name or node.outputs[0].name))
    return UserError(f"node {name} ({printable(node.op_type)}) {clause}")


def is_quantizer(node: ir.Node | None, *names: str) -> bool:
    """Tells whether a node is one of QONNX's, and of one of these names if any are given."""
    return node is not None and node.domain == QONNX_DOMAIN and (not names or node.op_type in names)


def normalise_quantizers(graph: ir.Graph, ranks: Mapping[str, int]) -> None:
    """Makes one operator of all bipolar ones, and constants of quantised constants, in place.

    Args:
        graph: Of a QONNX model.
        ranks: Number of axes of each value.

    Raises:
        UserError: A quantiser is computed, or is none that is known here.
    """
    for node in [node for node in graph if is_quantizer(node)]:
        if is_quantizer(node, MULTI_THRESHOLD):
            _threshold_as_bipolar(node, ranks)
        elif is_quantizer(node, *QUANT):
            _one_bit_as_bipolar(node)
        elif not is_quantizer(node, BIPOLAR_QUANT):
            raise refusal(
                node, "is an operator of QONNX that has no form here; quantise by BipolarQuant or Quant"
            )
    for node in [node for node in graph if is_quantizer(node)]:
        x = constant_array(operand(node, 0))
        if x is not None:
            result = Writer(node).constant(_quantised(node, x.astype(np.float32)), np.float32)
            result.name = f"{node.outputs[0].name}.quantised"
            replace(node.outputs[0], result)
            remove([node])


def scale_of(node: ir.Node) -> Float32Array:
    """Returns the scale of a quantiser of activations.

    Raises:
        UserError: It is computed, or not finite, or 0.
    """
    return _parameter(node, 1, "scale", lambda v: np.isfinite(v) & (v != 0))


def write_out(graph: ir.Graph) -> None:
    """Writes the remaining quantisers in standard operators, in place."""
    for node in [node for node in graph if is_quantizer(node)]:
        x = operand(node, 0)
        assert x is not None
        writer = Writer(node)
        y = _write_bipolar(writer, node, x) if node.op_type == BIPOLAR_QUANT else _write(writer, node, x)
        replace(node.outputs[0], y)
        remove([node])


def _parameter(
    node: ir.Node, index: int, name: str, valid: Callable[[Float32Array], npt.NDArray[np.bool_]]
) -> Float32Array:
    values = constant_array(operand(node, index))
    if values is None:
        raise refusal(
            node, f"has a {name} that is computed as the model runs; a deployed layer needs a constant"
        )
    if values.size == 0 or not valid(values).all():
        raise refusal(node, f"has a {name} that is 0 or not finite; train or export the model again")
    return values.astype(np.float32)


def _bits(node: ir.Node) -> tuple[Float32Array, int, int]:
    """Returns a Quant's zero point, and its smallest and largest integer."""
    zero = _parameter(node, 2, "zero point", np.isfinite)
    width = _parameter(
        node, 3, "bit width", lambda v: np.isfinite(v) & (v >= 1) & (v <= 32) & (v == np.floor(v))
    )
    if width.size != 1:
        raise refusal(node, "has several bit widths; give it one")
    bits, signed, narrow = int(width.item()), integer(node, "signed", 1), integer(node, "narrow", 0)
    if signed:
        return zero, -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return zero, 0, 2**bits - 1 - narrow


def _rounding(node: ir.Node) -> tuple[str, Callable[[Float32Array], Float32Array]]:
    mode = text(node, "rounding_mode", "ROUND").upper()
    if mode not in ROUNDING:
        raise refusal(node, f"rounds by {printable(mode)!r}; use one of {', '.join(ROUNDING)}")
    return ROUNDING[mode]


def _quantised(node: ir.Node, x: Float32Array) -> Float32Array:
    if node.op_type == BIPOLAR_QUANT:
        scale = _parameter(node, 1, "scale", np.isfinite)  # a channel of weights may have the scale 0
        return np.where(x >= 0, np.float32(1), np.float32(-1)) * scale
    scale = scale_of(node)
    zero, low, high = _bits(node)
    _, rounded = _rounding(node)
    return (rounded(np.clip(x / scale + zero, low, high)) - zero) * scale


def _one_bit_as_bipolar(node: ir.Node) -> None:
    zero, low, _ = _bits(node)
    if low not in (-1, 0) or not integer(node, "signed", 1) or constant_array(operand(node, 3)) != 1:
        return
    scale = scale_of(node)
    if zero.any() or (scale < 0).any():
        raise refusal(node, "has one bit with a zero point or a negative scale; use BipolarQuant")
    _write_quantizer(Writer(node), node, operand(node, 0), scale)


def _write_quantizer(writer: Writer, node: ir.Node, x: ir.Value | None, scale: npt.ArrayLike) -> None:
    y = writer.node(BIPOLAR_QUANT, x, writer.constant(scale, np.float32), domain=QONNX_DOMAIN, name=node.name)
    replace(node.outputs[0], y)
    remove([node])


def _threshold_as_bipolar(node: ir.Node, ranks: Mapping[str, int]) -> None:
    values = _parameter(node, 1, "threshold", np.isfinite)
    scale, bias = floating(node, "out_scale", 1.0), floating(node, "out_bias", 0.0)
    if values.ndim != 2 or values.shape[1] != 1 or scale <= 0 or bias != -scale / 2:
        raise refusal(
            node,
            "has other levels than one positive and its negative; a binary layer takes activations of two",
        )
    x = operand(node, 0)
    rank = ranks.get(str(x.name) if x is not None else "")
    if rank is None or text(node, "data_layout", "NCHW"[:rank]) not in ("", "NC", "NCHW"):
        raise refusal(
            node, "does not tell where its channels are; run qonnx-cleanup, and keep them in axis 1"
        )
    writer = Writer(node)
    shifted = writer.node("Sub", x, writer.constant(values.reshape(-1, *(1,) * (rank - 2))))
    _write_quantizer(writer, node, shifted, scale / 2)


def _write_bipolar(writer: Writer, node: ir.Node, x: ir.Value) -> ir.Value:
    scale = scale_of(node)
    positive = writer.node("GreaterOrEqual", x, writer.constant(0, np.float32))
    return writer.node("Where", positive, writer.constant(scale), writer.constant(-scale))


def _write(writer: Writer, node: ir.Node, x: ir.Value) -> ir.Value:
    scale = writer.constant(scale_of(node))
    zero, low, high = _bits(node)
    y = writer.node("Div", x, scale)
    if zero.any():
        y = writer.node("Add", y, writer.constant(zero))
    y = writer.node("Clip", y, writer.constant(low, np.float32), writer.constant(high, np.float32))
    y = writer.node(_rounding(node)[0], y)
    if zero.any():
        y = writer.node("Sub", y, writer.constant(zero))
    return writer.node("Mul", y, scale)
