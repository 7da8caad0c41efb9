"""Writes pools that round the size of their output up as pools with more padding behind the map.

torch and ONNX disagree about the last window of such a pool where the map has padding: torch leaves it out if
it would begin in the padding behind the map. The sizes are torch's, and with the padding that they ask for,
rounding down gives them in every runtime.

A maximum does not count padding, and a mean does not if `count_include_pad` is 0, or if the pool had no
padding before. Other means stay.
"""

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import graphs, integer, ints, shape_of

POOLS = ("MaxPool", "AveragePool")


def floor_pools(model: ir.Model) -> None:
    """Writes pools whose sizes are known, in place.

    Args:
        model: As torch exports it, with torch's shapes.
    """
    for graph in graphs(model):
        for node in graph:
            if node.op_type in POOLS and node.domain == "" and integer(node, "ceil_mode", 0):
                _floor(node)


def _floor(node: ir.Node) -> None:
    kernel = ints(node, "kernel_shape")
    pads = list(ints(node, "pads", (0,) * (2 * len(kernel))))
    missing = _missing(node, kernel, pads)
    if missing is None:
        return
    counts_padding = node.op_type == "AveragePool" and integer(node, "count_include_pad", 0) == 1
    if any(missing) and counts_padding and any(pads):
        return
    behind = [pad + more for pad, more in zip(pads[len(kernel) :], missing, strict=True)]
    if any(more and pad >= extent for pad, more, extent in zip(behind, missing, kernel, strict=True)):
        return  # runtimes refuse more padding than that
    node.attributes["pads"] = ir.AttrInt64s("pads", [*pads[: len(kernel)], *behind])
    node.attributes["ceil_mode"] = ir.AttrInt64("ceil_mode", 0)
    if any(missing) and counts_padding:
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 0)


def _missing(node: ir.Node, kernel: tuple[int, ...], pads: list[int]) -> list[int] | None:
    """Returns the padding that each axis lacks for its output; None where a size is not known."""
    ones = (1,) * len(kernel)
    strides, dilations = ints(node, "strides", ones), ints(node, "dilations", ones)
    sizes, outputs = (shape_of(value) for value in (node.inputs[0], node.outputs[0]))
    if sizes is None or outputs is None or len(node.outputs) != 1:
        return None
    missing = []
    for axis, taps in enumerate(kernel):
        size, output = sizes[axis + 2], outputs[axis + 2]
        if not isinstance(size, int) or not isinstance(output, int):
            return None
        window = (taps - 1) * dilations[axis] + 1
        padded = size + pads[axis] + pads[axis + len(kernel)]
        missing.append(max(0, (output - 1) * strides[axis] + window - padded))
    return missing
