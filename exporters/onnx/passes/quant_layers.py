"""Writes float layers as QuantConv2d: int8 weights, exact integer sums (docs/ops/QuantConv2d.md).

What a BatchNormalization behind the layer multiplies is in the weights before they are quantised.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import Writer, remove, replace
from rbnn_deploy.exporters.onnx.passes.quant_sites import QuantSite, find_quant_sites
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN
from rbnn_deploy.exporters.onnx.quantisation import Quantisation, Range, quantisation_of, quantise_weights
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
    how = quantisation_of(measured)
    integers, steps = quantise_weights(site.weights)
    scale, bias = (array.astype(np.float32) for array in (steps / how.factor, site.bias))
    if not (np.isfinite(scale).all() and np.isfinite(bias).all()):
        raise UserError(
            f"the weights of {site.layer.name} are not finite, or too large for float32; look at the training"
        )
    writer = Writer(site.behind[-1] if site.behind else site.layer)
    constants = [writer.constant(array) for array in (integers, scale, bias, np.float32(how.factor))]
    y = writer.node(
        QUANT_CONV2D,
        _as_map(writer, x, channels=site.weights.shape[1]),
        *constants,
        domain=PLAIN_DOMAIN,
        name=site.layer.name,
        **_attributes(site, how, integers.shape).to_dict(),
    )
    y.type = ir.TensorType(ir.DataType.FLOAT)
    value = _from_map(writer, y, site.end, outputs=len(site.weights))
    replace(site.end, value)
    remove([*site.behind[::-1], site.layer, *site.in_front])
    return value


def _attributes(site: QuantSite, how: Quantisation, weights: Sequence[int]) -> QuantConv2dAttributes:
    """Returns the attributes of a site's node, which fit its weights."""
    shared = {
        field.name: getattr(site, field.name)
        for field in QuantConv2dAttributes.fields()
        if hasattr(site, field.name)
    }
    attributes = QuantConv2dAttributes(
        channels=site.weights.shape[1] * site.groups,
        layout="channels_first",
        low=how.low,
        high=how.high,
        **shared,
    )
    try:
        check_quant_weights(weights, attributes)
    except ValueError as error:
        raise UserError(
            f"{site.layer.name} cannot have int8 weights, because {error}; split it into smaller layers, or "
            "export without exact float layers"
        ) from None
    return attributes


def _as_map(writer: Writer, x: ir.Value, channels: int) -> ir.Value:
    """Views rows [N, C] as a channels-first map [N, C, 1, 1], and [N, T, C] as [N, C, T, 1]; a map stays."""
    assert x.shape is not None
    if x.shape.rank() > _SEQUENCE:
        return x
    if x.shape.rank() == _SEQUENCE:
        turned = writer.node("Transpose", x, perm=[0, 2, 1])
        turned.shape, turned.type = ir.Shape([x.shape[0], channels, x.shape[1]]), x.type
        y = writer.node("Unsqueeze", turned, writer.constant([3], np.int64))
        y.shape = ir.Shape([x.shape[0], channels, x.shape[1], 1])
    else:
        y = writer.node("Reshape", x, writer.constant([-1, channels, 1, 1], np.int64))
        y.shape = ir.Shape([x.shape[0], channels, 1, 1])
    y.type = x.type
    return y


def _from_map(writer: Writer, y: ir.Value, result: ir.Value, outputs: int) -> ir.Value:
    """Views a layer's map as the rows that stood there."""
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
