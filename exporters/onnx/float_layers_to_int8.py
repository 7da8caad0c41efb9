"""Quantises what is left in float: the stem, 1 x 1 shortcuts and the head, to int8 weights and activations.

Binary layers, their names, functions and the model's metadata stay, and so do the float32 activations between
them. Before ONNX Runtime's static quantiser runs, the graph is arranged for its integer kernels:

1. Clip(Transpose(MaxPool(x))), which is cheaper in float, is turned back into Transpose(MaxPool(Clip(x))):
   behind a quantised convolution a Clip is nothing but the range of the quantised output, and costs nothing.
2. A convolution of few channels with stride 2 becomes one of four times the channels with stride 1, behind
   SpaceToDepth(2). With kernel k, pad p and a = p mod 2, output pixel q reads rows 2q - p to 2q - p + k - 1;
   with a zero row of weights in front, and one behind where k + a is odd, that is a whole number of pairs of
   rows, which start at pair q - (p + a) / 2. The integer convolution copies its windows, and copies
   4 C contiguous bytes faster than C.
3. MatMul and Gemm leave their output in float: the integer product scales it for nothing.

And one thing after it has run:

4. ONNX Runtime gives each reader of a dequantised value a DequantizeLinear of its own: a binary layer that
   reads the stem as input and as residual would have it converted, and fetched from memory, twice. Flatten
   and Reshape, two views of the same memory, make one reader of them.

What gets no faster stays in float (`_worthwhile`), such as a
convolution of 3 x 3 over three channels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rbnn_deploy.ort_quantizer import quantize_static, raise_activations

TO_CHANNELS_LAST = [0, 2, 3, 1]
QUANTIZED = ("Conv", "MatMul", "Gemm", "MaxPool", "Clip", "Relu")
FEW_CHANNELS = 4
# Below, quantising costs more than integers save; measured, see docs/benchmarking.md.
SMALLEST_WINDOW = 64  # weights of one output channel of a convolution
SMALLEST_PRODUCT = 1 << 16  # multiplications of MatMul or Gemm for one sample


def quantize_float_layers(
    model: onnx.ModelProto, calibration: Iterable[npt.NDArray[np.float32]]
) -> onnx.ModelProto:
    """Quantises the float layers of a deployed model.

    Args:
        model: What `build_model` returns, or the file that it wrote; it is not changed.
        calibration: Images as the model takes them, float32 [n, C, H, W] each, which show the range of each
            activation. They run through the model's functions, without the operator library.

    Returns:
        The model with QuantizeLinear and DequantizeLinear around its float layers, which a runtime fuses into
        integer kernels; opsets, IR version, functions and metadata as before.

    Raises:
        UserError: There is no image.
    """
    arranged = onnx.ModelProto()
    arranged.CopyFrom(model)
    graph = arranged.graph
    raise_activations(graph)
    _pairs_to_channels(graph)
    if not any(node.op_type == "Conv" and node.name in _worthwhile(arranged) for node in graph.node):
        arranged.CopyFrom(model)  # the arrangement is for a quantised convolution only
    names = _worthwhile(arranged)
    if not any(node.name in names for node in graph.node if node.op_type in ("Conv", "MatMul", "Gemm")):
        return model
    quantized = quantize_static(
        arranged,
        calibration,
        op_types_to_quantize=list(QUANTIZED),
        nodes_to_quantize=names,
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
    )
    _dequantize_once(quantized)
    return quantized


def _dequantize_once(model: onnx.ModelProto) -> None:
    """Puts views behind channels-last values that are dequantised and read twice (rule 4), in place."""
    graph, shapes = model.graph, _shapes(model)
    producers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    for node in list(graph.node):
        source = producers.get(node.input[0]) if node.op_type == "Transpose" else None
        value = node.output[0]
        shape = shapes.get(value, [])
        if source is None or source.op_type != "DequantizeLinear" or readers[value] < 2:
            continue
        if len(shape) != 3 or not all(shape):
            continue
        first, flat, target = f"{value}.dequantized", f"{value}.flat", f"{value}.shape"
        node.output[0] = first
        graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape], np.int64), target))
        index = list(graph.node).index(node) + 1
        graph.node.insert(index, helper.make_node("Reshape", [flat, target], [value], name=value))
        graph.node.insert(index, helper.make_node("Flatten", [first], [flat], name=flat, axis=3))


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Returns the shape of each value behind its batch axis; 0 stands for what is not known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]
        for value in [*graph.value_info, *graph.input, *graph.output]
    }


def _worthwhile(model: onnx.ModelProto) -> list[str]:
    """Returns the names of the layers that get faster in integers, and of what lies between them."""
    graph, shapes, tensors = model.graph, _shapes(model), _constants(model.graph)
    names = []
    for node in graph.node:
        weight = tensors.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "Conv" and weight is not None:
            worth = int(np.prod(weight.dims[1:])) >= SMALLEST_WINDOW
        elif node.op_type in ("MatMul", "Gemm") and weight is not None:
            rows = int(np.prod(shapes.get(node.input[0], [1])[:-1]))  # products for one sample
            worth = rows * int(np.prod(weight.dims)) >= SMALLEST_PRODUCT
        else:
            worth = node.op_type in ("MaxPool", "Clip", "Relu")
        if worth:
            names.append(node.name)
    return names


def _pairs_to_channels(graph: onnx.GraphProto) -> None:
    """Rewrites stride-2 convolutions of the graph's input (rule 2), in place."""
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input
    }
    for index, node in reversed(list(enumerate(graph.node))):
        weight = _constants(graph).get(node.input[1]) if node.op_type == "Conv" else None
        size = shapes.get(node.input[0])
        if weight is None or size is None or len(size) != 4:
            continue
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        paired = pair_rows_and_columns(numpy_helper.to_array(weight), attributes, (size[2], size[3]))
        if paired is None:
            continue
        kernel, pads = paired
        name = f"{node.input[1]}.paired"
        graph.initializer.append(numpy_helper.from_array(kernel, name))
        source = f"{node.input[0]}.paired"
        conv = helper.make_node(
            "Conv",
            [source, name, *node.input[2:]],
            list(node.output),
            name=node.name,
            kernel_shape=kernel.shape[2:],
            pads=pads,
        )
        pair = helper.make_node("SpaceToDepth", [node.input[0]], [source], name=source, blocksize=2)
        del graph.node[index]
        graph.node.insert(index, conv)
        graph.node.insert(index, pair)


def pair_rows_and_columns(
    weight: npt.NDArray[np.float32], attributes: Mapping[str, Any], size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], list[int]] | None:
    """Computes the convolution behind SpaceToDepth(2) that equals one of stride 2.

    Args:
        weight: float32 [O, C, KH, KW].
        attributes: Of the Conv node.
        size: (H, W) of its input; 0 where unknown.

    Returns:
        float32 [O, 4 C, ceil((KH + a) / 2), ceil((KW + a) / 2)] and the pads in ONNX order, or None where the
        convolution is another or there is nothing to gain.
    """
    outputs, channels, *taps = weight.shape
    if channels > FEW_CHANNELS or attributes.get("group", 1) != 1 or min(taps) < 3:
        return None
    if list(attributes.get("strides", [1, 1])) != [2, 2] or list(attributes.get("dilations", [1, 1])) != [
        1,
        1,
    ]:
        return None
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or any(extent % 2 or not extent for extent in size):
        return None
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
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
