"""PackedBinaryConv2d (docs/ops/): bits to bits, in one call."""

from __future__ import annotations

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError, times
from rbnn_deploy.exporters.c.names import comment_text
from rbnn_deploy.exporters.c.operators.binary_conv2d import Members, pack_windows, weights_table, windows_of
from rbnn_deploy.exporters.c.operators.packing import WORD_BITS, bits_buffer, held
from rbnn_deploy.exporters.c.program import Buffer, Step
from rbnn_deploy.exporters.c.structures import structure
from rbnn_deploy.exporters.c.wanted import packing_of
from rbnn_deploy.operators import PackedBinaryConv2dAttributes

KERNEL = "packed_binary_conv2d"


def emit(graph: Graph, node: Node) -> None:
    """Adds the step of a PackedBinaryConv2d, whose outputs lie as their reader wants them."""
    a = PackedBinaryConv2dAttributes.from_mapping(node.attributes)
    value, weights_name, thresholds_name = node.inputs
    result = node.outputs[0]
    packed, thresholds = graph.constant(weights_name), graph.constant(thresholds_name)
    outputs, KH, KW, _ = packed.shape
    groups = graph.wanted.groups[result]
    if len(groups) > 1:
        raise UnsupportedNodeError("gives bits to layers of unlike groups")
    (H, W), (PH, PW) = graph.shape(value)[1:3], graph.shape(result)[1:3]
    size = a.conv_size((H, W), (KH, KW))
    words = pack_windows(packed, a.group_channels)
    bits = graph.held_bits_of(value, packing_of(node), a.channels)
    y = bits_buffer(result, PH, PW, outputs, groups[0])
    graph.bits[result, *held(groups[0])] = y
    graph.channels_of_bits[result] = outputs
    scratch = 2 * words.shape[1] + -(-outputs // WORD_BITS)
    window = Buffer(f"window of {node.name}", "uint32_t", scratch)
    name = graph.identifier("layer", node.name)
    members: Members = {
        "pad_value": a.pad_value,
        "pool_height": a.pool[0],
        "pool_width": a.pool[1],
        "reader_groups": groups[0],
        "weights": weights_table(graph, weights_name, words, f"[{outputs}][{words.shape[1]}]", KW, a),
        "thresholds": graph.table(
            "threshold", thresholds_name, thresholds, "int32_t", f"{outputs} outputs, compared with sums"
        ),
    }
    padded = f", padded with {a.pad_value}" if any(a.pads) and a.pad_value else ""
    pooled = f", pooled {a.pool[0]} x {a.pool[1]}" if a.pool != (1, 1) else ""
    shapes = f"{times((H, W, a.channels))} to {times((PH, PW, outputs))}"
    graph.add(
        Step(
            comment_text(f"{node.name}: {node.op}, {shapes}, {KH} x {KW} taps{padded}{pooled}, bits to bits"),
            lambda at: f"{KERNEL}(&{name}, {at[bits]}, {at[y]}, {at[window]});",
            reads=(bits,),
            writes=(y, window),
            kernel=KERNEL,
            layer=structure(KERNEL, name, windows_of(graph, node, a, size) | members),
        )
    )
