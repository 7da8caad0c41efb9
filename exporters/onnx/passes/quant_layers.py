"""Writes float layers as QuantConv2d: int8 weights, exact integer sums (docs/ops/QuantConv2d.md).

What a BatchNormalization behind the layer multiplies is in the weights before they are quantised.
"""

from collections.abc import Mapping

import numpy as np
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import (
    TO_CHANNELS_LAST,
    Writer,
    ints,
    remove,
    replace,
    shape_of,
)
from rbnn_deploy.exporters.onnx.passes.quant_sites import QuantSite, find_quant_sites
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN, is_quant_conv
from rbnn_deploy.exporters.onnx.quantisation import Range, quantisation_of, quantise_weights
from rbnn_deploy.operators import QUANT_CONV2D, QuantConv2dAttributes
from rbnn_deploy.quant_conv2d_rules import check_quant_weights

_SEQUENCE = 3  # rank of rows of sequences, [N, T, K]


class QuantLayers(ExplainedPass):
    """Writes float layers as layers of int8 weights.

    Precondition: the graph is channels-first. Afterwards its layers of int8 weights are those of `plain`.

    Args:
        ranges: The smallest and the largest value of what each layer reads, by that value; a layer without
            one stays.
    """

    def __init__(self, ranges: Mapping[ir.Value, Range]) -> None:
        super().__init__()
        self._ranges = ranges

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph.

        Raises:
            UserError: A layer cannot be quantised: its weights or its range are not finite, or its sums could
                exceed int32.
        """
        # A site that is written gives the next one another input, whose range has not been measured.
        sites = [(site, site.measured) for site in find_quant_sites(graph) if site.measured in self._ranges]
        written: dict[ir.Value, ir.Value] = {}
        for site, measured in sites:
            end = site.end
            written[end] = _write(site, written.get(site.x, site.x), self._ranges[measured])
            self.note(site.layer, f"int8 weights and exact sums, with {_parts(site)}")
        return bool(sites)


def _parts(site: QuantSite) -> str:
    found = [
        *(["the mean in front"] if site.mean_kernel != (1, 1) else []),
        *(node.op_type for node in site.behind),
    ]
    return ", ".join(found) or "nothing else"


def _write(site: QuantSite, x: ir.Value, measured: Range) -> ir.Value:
    """Writes one layer in place of its site, and returns the value that stands for the site's end."""
    if not np.isfinite(measured).all():
        raise UserError(
            f"the calibration images give {site.layer.name} values that are not finite; look at the images "
            "and at the network's weights"
        )
    end = site.behind[-1] if site.behind else site.layer
    writer, result, rank = Writer(end), site.end, len(shape_of(site.layer.inputs[0]) or ())
    how, bias = quantisation_of(measured), site.bias.astype(np.float32)
    integers, steps = quantise_weights(site.weights)
    scale = (steps / how.factor).astype(np.float32)
    if not (np.isfinite(scale).all() and np.isfinite(bias).all()):
        raise UserError(
            f"the weights of {site.layer.name} are not finite, or too large for float32; look at the training"
        )
    outputs, channels = site.weights.shape[:2]
    attributes = QuantConv2dAttributes(
        channels=channels * site.groups,
        strides=site.strides,
        pads=site.pads,  # type: ignore[arg-type]
        dilations=site.dilations,
        groups=site.groups,
        layout="channels_first",
        mean_kernel=site.mean_kernel,
        mean_strides=site.mean_strides,
        low=how.low,
        high=how.high,
        activation=site.activation,
        pool_kernel=site.pool_kernel,
        pool_strides=site.pool_strides,
        pool_pads=site.pool_pads,  # type: ignore[arg-type]
    )
    try:
        check_quant_weights(integers.shape, attributes)
    except ValueError as error:
        raise UserError(
            f"{site.layer.name} cannot have int8 weights, because {error}; split it into smaller layers, or "
            "export without exact float layers"
        ) from None
    y = writer.node(
        QUANT_CONV2D,
        _as_map(writer, x, channels, rank),
        writer.constant(integers),
        writer.constant(scale),
        writer.constant(bias),
        writer.constant(np.float32(how.factor)),
        domain=PLAIN_DOMAIN,
        name=site.layer.name,
        **attributes.to_dict(),
    )
    y.type = ir.TensorType(ir.DataType.FLOAT)
    value = _from_map(writer, y, result, outputs)
    replace(result, value)
    remove([*site.behind[::-1], site.layer, *site.in_front])
    return value


def _as_map(writer: Writer, x: ir.Value, channels: int, rank: int) -> ir.Value:
    """Views rows as a channels-first map; a map stays."""
    shape = shape_of(x)
    if shape is None or len(shape) > _SEQUENCE:
        return x
    if rank == _SEQUENCE:
        turned = writer.node("Transpose", x, perm=[0, 2, 1])
        turned.type = x.type
        y = writer.node("Unsqueeze", turned, writer.constant([3], np.int64))
    else:
        y = writer.node("Reshape", x, writer.constant([-1, channels, 1, 1], np.int64))
    assert x.shape is not None
    turned_shape = (
        [x.shape[0], channels, x.shape[1], 1] if rank == _SEQUENCE else [x.shape[0], channels, 1, 1]
    )
    if rank == _SEQUENCE:
        turned.shape = ir.Shape(turned_shape[:_SEQUENCE])
    y.shape, y.type = ir.Shape(turned_shape), x.type
    return y


def _from_map(writer: Writer, y: ir.Value, result: ir.Value, outputs: int) -> ir.Value:
    """Views a layer's map as what stood there."""
    shape = result.shape
    assert shape is not None
    if shape.rank() > _SEQUENCE:
        y.shape = shape
        return y
    if shape.rank() == _SEQUENCE:
        y.shape = ir.Shape([shape[0], outputs, shape[1], 1])
        squeezed = writer.node("Squeeze", y, writer.constant([3], np.int64))
        squeezed.shape, squeezed.type = ir.Shape([shape[0], outputs, shape[1]]), y.type
        return writer.node("Transpose", squeezed, like=result, perm=[0, 2, 1])
    y.shape = ir.Shape([shape[0], outputs, 1, 1])
    return writer.node("Reshape", y, writer.constant([-1, outputs], np.int64), like=result)


class ReadChannelsFirst(ExplainedPass):
    """Lets layers of int8 weights read channels-first maps themselves, in place of a Transpose.

    Precondition: the layout is decided.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for transpose in [node for node in graph if node.op_type == "Transpose" and node.domain == ""]:
            readers = [use.node for use in transpose.outputs[0].uses()]
            if ints(transpose, "perm") != TO_CHANNELS_LAST or transpose.outputs[0].is_graph_output():
                continue
            if not readers or not all(
                is_quant_conv(node) and list(node.inputs).count(transpose.outputs[0]) == 1 for node in readers
            ):
                continue
            if any(node.inputs[0] is not transpose.outputs[0] for node in readers):
                continue
            for node in readers:
                node.replace_input_with(0, transpose.inputs[0])
                node.attributes["layout"] = ir.AttrString("layout", "channels_first")
                self.note(node, "reads its channels-first input itself")
            remove([transpose])
            modified = True
        return modified
