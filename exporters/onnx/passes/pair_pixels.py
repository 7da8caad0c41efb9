"""Writes the stride-2 convolution of an image as one over pairs of rows and columns, for integers.

A convolution of few channels with stride 2 becomes one of four times the channels with stride 1, behind
SpaceToDepth(2). With kernel k, pad p and a = p mod 2, output pixel q reads rows 2q - p to 2q - p + k - 1;
with a zero row of weights in front, and one behind where k + a is odd, that is a whole number of pairs of
rows, which start at pair q - (p + a) / 2. The integer convolution copies its windows, and copies 4 C
contiguous bytes faster than C.
"""

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    integer,
    ints,
    map_size,
    operand,
    replace,
    text,
)
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass

FEW_CHANNELS = 4


class PairPixels(ExplainedPass):
    """Rewrites stride-2 convolutions of the graph's input.

    Precondition: they will be quantised; in float32 there is nothing to gain.

    Args:
        quantized: The convolutions that will be; those that are rewritten take the place of theirs.
    """

    def __init__(self, quantized: set[ir.Node]) -> None:
        super().__init__()
        self._quantized = quantized

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for conv in [node for node in graph if node in self._quantized and node.op_type == "Conv"]:
            source, weight = conv.inputs[0], constant_array(operand(conv, 1))
            if source is None or not source.is_graph_input() or weight is None:
                continue
            size = map_size(source)
            paired = None if size is None else _paired(conv, weight, size[1:])
            if paired is None:
                self.note(conv, "its pixels are not paired", done=False)
                continue
            kernel, pads = paired
            writer = Writer(conv)
            pairs = writer.node("SpaceToDepth", source, blocksize=2)
            inputs = [pairs, writer.constant(kernel), *conv.inputs[2:]]
            result = writer.node(
                "Conv",
                *inputs,
                like=conv.outputs[0],
                name=conv.name,
                kernel_shape=list(kernel.shape[2:]),
                pads=pads,
            )
            replace(conv.outputs[0], result)
            graph.remove(conv, safe=True)
            self._quantized.discard(conv)
            made = result.producer()
            assert made is not None
            self._quantized.add(made)
            self.note(made, "its pixels are paired")
            modified = True
        return modified


def _paired(
    conv: ir.Node, weight: npt.NDArray[np.float32], size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], list[int]] | None:
    if integer(conv, "group", 1) != 1 or text(conv, "auto_pad", "NOTSET") != "NOTSET":
        return None
    if ints(conv, "strides", (1, 1)) != (2, 2) or ints(conv, "dilations", (1, 1)) != (1, 1):
        return None
    return pair_rows_and_columns(weight, ints(conv, "pads", (0, 0, 0, 0)), size)


def pair_rows_and_columns(
    weight: npt.NDArray[np.float32], pads: tuple[int, ...], size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], list[int]] | None:
    """Computes the convolution behind SpaceToDepth(2) that equals one of stride 2.

    Args:
        weight: float32 [O, C, KH, KW].
        pads: (top, left, bottom, right).
        size: (H, W) of its input.

    Returns:
        float32 [O, 4 C, ceil((KH + a) / 2), ceil((KW + a) / 2)] and the pads in ONNX order, or None where the
        map's size is odd or there is nothing to gain.
    """
    outputs, channels, *taps = weight.shape
    if channels > FEW_CHANNELS or min(taps) < 3 or any(extent % 2 for extent in size):
        return None
    widening, new_pads = [(0, 0), (0, 0)], [0, 0, 0, 0]
    for axis in range(2):
        before, after, extent = pads[axis], pads[axis + 2], size[axis]
        front = before % 2
        back = (taps[axis] + front) % 2
        result = (extent + before + after - taps[axis]) // 2 + 1
        pairs = (taps[axis] + front + back) // 2
        new_pads[axis] = (before + front) // 2
        new_pads[axis + 2] = result - 1 + pairs - extent // 2 - new_pads[axis]
        widening.append((front, back))
    if min(new_pads) < 0:
        return None
    wide = np.pad(weight, widening)
    rows, columns = wide.shape[2] // 2, wide.shape[3] // 2
    # SpaceToDepth's channel is (row of the pair, column of the pair, channel).
    split = wide.reshape(outputs, channels, rows, 2, columns, 2).transpose(0, 3, 5, 1, 2, 4)
    return np.ascontiguousarray(split.reshape(outputs, 4 * channels, rows, columns)), new_pads
