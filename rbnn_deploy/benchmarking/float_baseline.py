"""Deployed model -> the same topology with float convolutions, as ONNX Runtime runs it fastest.

The result is what somebody without binary layers would deploy:

1. BinaryConv2d becomes Conv(x, sign * scale) + bias, + R, then the activation: no threshold, no signs.
2. The channels-last trunk becomes channels-first again, which ONNX Runtime blocks for its convolutions, and
   what the exporter rewrote for the other layout is written as the operator that it was: a (strided) product
   over the last axis as a 1 x 1 Conv, two maxima over views as MaxPool.
3. No Transpose is left but those that the function of a remaining node needs.

Needs onnx and NumPy only: a device builds its own baseline.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rbnn_deploy.benchmarking.graph import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    attributes,
    constants,
    int64,
    is_binary_conv,
    static_shapes,
    uses,
)
from rbnn_deploy.bits import unpack_signs
from rbnn_deploy.operators import DOMAIN, BinaryConv2dAttributes
from rbnn_deploy.ort_quantizer import raise_activations

UNARY = ("Clip", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "HardSwish", "Neg", "Abs")
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min")
ACTIVATIONS = {"hardtanh": (-1.0, 1.0), "relu": (0.0, None)}


def float_baseline(model: onnx.ModelProto) -> onnx.ModelProto:
    """Builds the float32 network of a deployed model's topology.

    Args:
        model: A deployed model; it is not changed.

    Returns:
        A model of standard operators with the same input and output, opset and IR version, without functions.
    """
    return _ChannelsFirst(model).build()


def float_weights(
    packed: npt.NDArray[np.uint8], scale: npt.NDArray[np.float32], group_channels: int
) -> npt.NDArray[np.float32]:
    """Unpacks binary weights into those of a float convolution that includes the scale.

    Args:
        packed: uint8 [O, KH, KW, ceil(group_channels / 8)].
        scale: float32 [O].
        group_channels: Input channels of one group.

    Returns:
        float32 [O, group_channels, KH, KW].
    """
    signs = unpack_signs(packed, group_channels).astype(np.float32)
    return np.ascontiguousarray((signs * scale[:, None, None, None]).transpose(0, 3, 1, 2))


class _ChannelsFirst:
    """Walks a graph once; values of the channels-last trunk live on as channels-first twins."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = constants(model.graph)
        self.uses = uses(model.graph)
        self.shapes = static_shapes(model)
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in set(node.input):
                self.readers.setdefault(name, []).append(node)
        self.twins: dict[str, str] = {}  # channels-last value -> its channels-first twin
        self.strided: dict[
            str, tuple[str, list[int]]
        ] = {}  # strided selection -> twin of its source, strides
        self.aliases: dict[str, str] = {}  # value -> an equal value of the new graph
        self.done: set[str] = set()  # outputs of nodes that were taken up by an earlier one
        self.restored: set[str] = set()  # channels-last values that exist in the new graph after all
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        for node in self.model.graph.node:
            if node.output[0] in self.done:
                continue
            if not self._convert(node):
                self._keep(node)
        return self._finish()

    # ---- the walk ----

    def _convert(self, node: onnx.NodeProto) -> bool:
        """Rewrites a node of the trunk; False for one that has no channels-first form or is outside."""
        if is_binary_conv(node):
            self._binary_conv(node)
            return True
        source = node.input[0] if node.input else ""
        if node.op_type == "Transpose":
            return self._transpose(node, source)
        if not any(name in self.twins or name in self.strided for name in node.input):
            return False
        handlers = {
            **dict.fromkeys(UNARY, self._unary),
            **dict.fromkeys(BINARY, self._elementwise),
            "Concat": self._concat,
            "MatMul": self._matmul,
            "Pad": self._pad,
            "ReduceMean": self._reduce_mean,
            "Reshape": self._reshape,
            "Slice": self._slice,
        }
        handler = handlers.get(node.op_type)
        return handler is not None and handler(node, source)

    def _transpose(self, node: onnx.NodeProto, source: str) -> bool:
        perm = list(attributes(node).get("perm", []))
        if perm == TO_CHANNELS_LAST and source not in self.twins:
            self.twins[node.output[0]] = self.aliases.get(source, source)
            return True
        if perm == TO_CHANNELS_FIRST and source in self.twins:
            self.aliases[node.output[0]] = self.twins[source]
            return True
        return False

    def _binary_conv(self, node: onnx.NodeProto) -> None:
        a = BinaryConv2dAttributes.from_node(node)
        packed, scale, bias = (self.constants[name] for name in node.input[1:4])
        weight = float_weights(packed, scale, a.channels // a.groups)
        value = self._emit(
            "Conv",
            [
                self._twin(node.input[0]),
                self._add(f"{node.output[0]}.weight", weight),
                self._add(f"{node.output[0]}.bias", bias),
            ],
            f"{node.output[0]}.conv",
            name=node.name,
            kernel_shape=list(weight.shape[2:]),
            strides=list(a.strides),
            pads=list(a.pads),
            dilations=list(a.dilations),
            group=a.groups,
        )
        residual = node.input[4] if len(node.input) > 4 else ""
        constant = self.constants.get(residual)
        if residual and not (constant is not None and not constant.any()):
            other = self._twin(residual) if constant is None else self._add(f"{residual}.first", constant)
            value = self._emit("Add", [value, other], f"{node.output[0]}.sum")
        if a.activation != "none":
            low, high = ACTIVATIONS[a.activation]
            if high is None:
                value = self._emit("Relu", [value], f"{node.output[0]}.act")
            else:
                bounds = [self._add(f"clip.{bound}", np.float32(bound)) for bound in (low, high)]
                value = self._emit("Clip", [value, *bounds], f"{node.output[0]}.act")
        self.twins[node.output[0]] = value

    def _unary(self, node: onnx.NodeProto, source: str) -> bool:
        self._emit_twin(node, [self.twins[source], *node.input[1:]])
        return True

    def _elementwise(self, node: onnx.NodeProto, source: str) -> bool:
        inputs = []
        for name in node.input:
            constant = self.constants.get(name)
            if name in self.twins:
                inputs.append(self.twins[name])
            elif constant is not None and constant.ndim <= 4:
                aligned = constant.reshape((1,) * (4 - constant.ndim) + constant.shape)
                inputs.append(self._add(f"{name}.first", aligned.transpose(TO_CHANNELS_FIRST)))
            else:
                return False
        self._emit_twin(node, inputs)
        return True

    def _slice(self, node: onnx.NodeProto, source: str) -> bool:
        if len(node.input) < 4 or any(name not in self.constants for name in node.input[1:]):
            return False
        if self._is_strided_selection(node) and all(
            r.op_type == "MatMul" for r in self.readers[node.output[0]]
        ):
            steps = dict(zip(self.constants[node.input[3]] % 4, self.constants[node.input[4]], strict=True))
            self.strided[node.output[0]] = self.twins[source], [int(steps[1]), int(steps[2])]
            return True
        axes = self.constants[node.input[3]]
        moved = self._add(f"{node.output[0]}.axes", int64(*(TO_CHANNELS_LAST[int(a) % 4] for a in axes)))
        self._emit_twin(node, [self.twins[source], *node.input[1:3], moved, *node.input[4:]])
        return True

    def _is_strided_selection(self, node: onnx.NodeProto) -> bool:
        """Whether a Slice takes every stride-th row and column from the first on."""
        if len(node.input) != 5:
            return False
        starts, ends, axes, steps = (self.constants[name] for name in node.input[1:])
        sizes = self.shapes.get(node.input[0])
        if sizes is None or sorted(int(a) % 4 for a in axes) != [1, 2] or starts.any() or (steps < 1).any():
            return False
        extents = [sizes[int(axis)] for axis in axes]
        return all(n is not None and int(end) >= n for n, end in zip(extents, ends, strict=True))

    def _matmul(self, node: onnx.NodeProto, source: str) -> bool:
        weight = self.constants.get(node.input[1])
        if weight is None or weight.ndim != 2:
            return False
        twin, strides = self.strided[source] if source in self.strided else (self.twins[source], [1, 1])
        kernel = self._add(f"{node.output[0]}.weight", np.ascontiguousarray(weight.T)[:, :, None, None])
        self.twins[node.output[0]] = self._emit(
            "Conv",
            [twin, kernel],
            f"{node.output[0]}.first",
            name=node.name,
            kernel_shape=[1, 1],
            strides=strides,
        )
        return True

    def _pad(self, node: onnx.NodeProto, source: str) -> bool:
        pads = self.constants.get(node.input[1])
        if pads is None or pads.size != 8 or len(node.input) > 3:
            return False
        moved = self._add(f"{node.output[0]}.pads", pads.reshape(2, 4)[:, TO_CHANNELS_FIRST].reshape(8))
        self._emit_twin(node, [self.twins[source], moved, *node.input[2:]])
        return True

    def _concat(self, node: onnx.NodeProto, source: str) -> bool:
        if any(name not in self.twins for name in node.input):
            return False
        axis = TO_CHANNELS_LAST[attributes(node)["axis"] % 4]
        self._emit_twin(node, [self.twins[name] for name in node.input], axis=axis)
        return True

    def _reduce_mean(self, node: onnx.NodeProto, source: str) -> bool:
        axes = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        if axes is None or sorted(int(a) % 4 for a in axes) != [1, 2]:
            return False
        if attributes(node).get("keepdims", 1):
            self.twins[node.output[0]] = self._emit(
                "GlobalAveragePool", [self.twins[source]], f"{node.output[0]}.first", name=node.name
            )
            return True
        pooled = self._emit(
            "GlobalAveragePool", [self.twins[source]], f"{node.output[0]}.pooled", name=node.name
        )
        self._emit("Flatten", [pooled], node.output[0], axis=1)
        return True

    def _reshape(self, node: onnx.NodeProto, source: str) -> bool:
        shape = self.shapes.get(source)
        if source not in self.twins or shape is None or len(shape) != 4:
            return False
        if shape[1:3] == (1, 1):  # the order of the values is the same in both layouts
            self._emit("Reshape", [self.twins[source], *node.input[1:]], node.output[0], **attributes(node))
            return True
        if self._mean_over_map(node, shape):
            return True
        window = self._max_pool_window(node, shape)
        if window is None:
            return False
        kernel, output = window
        self.twins[output] = self._emit(
            "MaxPool", [self.twins[source]], f"{output}.first", kernel_shape=kernel, strides=kernel
        )
        return True

    def _mean_over_map(self, first: onnx.NodeProto, shape: Sequence[int | None]) -> bool:
        """Recognises a product with a row of 1 / P of the map viewed as [N, P, C], and what reshapes it."""
        products = self.readers.get(first.output[0], [])
        if len(products) != 1 or products[0].op_type != "MatMul" or products[0].input[1] != first.output[0]:
            return False
        row, view = self.constants.get(products[0].input[0]), self.constants.get(first.input[1])
        pixels = shape[1] * shape[2] if shape[1] is not None and shape[2] is not None else 0
        if row is None or view is None or list(view[1:]) != [pixels, shape[3]]:
            return False
        if row.shape != (1, pixels) or not (row == np.float32(1 / pixels)).all():
            return False
        result = products[0].output[0]
        pooled = self._emit("GlobalAveragePool", [self.twins[first.input[0]]], f"{result}.pooled")
        # [N, C, 1, 1] for [N, 1, C] makes no difference to a Reshape that copies none of their sizes.
        targets = [self.constants.get(r.input[1]) for r in self.readers[result] if r.op_type == "Reshape"]
        if len(targets) == self.uses[result] and all(t is not None and all(t[1:] != 0) for t in targets):
            self.aliases[result] = pooled
        else:
            self._emit("Reshape", [pooled, self._add(f"{result}.shape", int64(-1, 1, int(view[2])))], result)
        self.done.add(result)
        return True

    def _max_pool_window(
        self, first: onnx.NodeProto, shape: Sequence[int | None]
    ) -> tuple[list[int], str] | None:
        """Recognises Reshape, ReduceMax, Reshape, ReduceMax, Reshape: a maximum over tiles of the map.

        Returns:
            The window and the name of the result, or None for other reshapes.
        """
        chain = [first]
        for op_type in ("ReduceMax", "Reshape", "ReduceMax", "Reshape"):
            readers = self.readers.get(chain[-1].output[0], [])
            if len(readers) != 1 or readers[0].op_type != op_type:
                return None
            chain.append(readers[0])
        views = [self.constants.get(node.input[1]) for node in chain[::2]]
        axes = [self.constants.get(node.input[1]) for node in chain[1::2]]
        _, height, width, channels = shape
        if any(view is None for view in views) or any(axis is None or list(axis) != [1] for axis in axes):
            return None
        rows, columns, result = ([int(n) for n in view] for view in views if view is not None)
        if height is None or width is None or channels is None or len(rows) != 3 or len(columns) != 3:
            return None
        kernel = [rows[1], columns[1]]
        expected = [height // kernel[0], width // kernel[1], channels]
        if rows[2] != width * channels or columns[2] != channels or result[1:] != expected:
            return None
        self.done.update(node.output[0] for node in chain)
        return kernel, chain[-1].output[0]

    # ---- the new graph ----

    def _twin(self, name: str) -> str:
        """Returns the channels-first form of a channels-last value, made where there is none yet."""
        if name not in self.twins:
            source = self.aliases.get(name, name)
            self.twins[name] = self._emit("Transpose", [source], f"{name}.first", perm=TO_CHANNELS_FIRST)
            self.restored.add(name)
        return self.twins[name]

    def _keep(self, node: onnx.NodeProto) -> None:
        """Copies a node; where it reads a channels-last value, that is made from its twin."""
        for name in node.input:
            if name in self.twins and name not in self.restored:
                self._emit("Transpose", [self.twins[name]], name, perm=TO_CHANNELS_LAST)
                self.restored.add(name)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [self.aliases.get(name, name) for name in node.input]
        self.nodes.append(copy)

    def _emit(self, op_type: str, inputs: Sequence[str], output: str, name: str = "", **values: Any) -> str:
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=name or output, **values))
        return output

    def _emit_twin(self, node: onnx.NodeProto, inputs: Sequence[str], **values: Any) -> None:
        """Adds the same operator on twins."""
        output = self._emit(
            node.op_type, inputs, f"{node.output[0]}.first", node.name, **{**attributes(node), **values}
        )
        self.twins[node.output[0]] = output

    def _add(self, name: str, array: npt.NDArray[Any] | np.float32) -> str:
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(
                numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), name)
            )
        return name

    def _finish(self) -> onnx.ModelProto:
        outputs = [output.name for output in self.model.graph.output]
        for name in outputs:  # an output whose node was dropped still has to exist under its name
            if name in self.aliases:
                self._emit("Identity", [self.aliases[name]], name)
            elif name in self.twins and name not in self.restored:
                self._emit("Transpose", [self.twins[name]], name, perm=TO_CHANNELS_LAST)
        read = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in read]
        graph = helper.make_graph(
            self.nodes,
            self.model.graph.name,
            list(self.model.graph.input),
            list(self.model.graph.output),
            [*kept, *self.initializers],
        )
        raise_activations(graph)
        domains = {node.domain for node in self.nodes} | {""}
        opsets = [entry for entry in self.model.opset_import if entry.domain in domains - {DOMAIN}]
        result = helper.make_model(graph, opset_imports=opsets, ir_version=self.model.ir_version)
        onnx.checker.check_model(result, full_check=True)
        return result
