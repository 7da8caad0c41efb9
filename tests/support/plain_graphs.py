"""Plain graphs built by hand: binary layers, and single operators between them."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir

from rbnn_deploy.exporters.onnx.finalize import FUNCTIONS, fill_absent_inputs
from rbnn_deploy.exporters.onnx.function_nodes import ML_DOMAIN, ML_VERSION
from rbnn_deploy.exporters.onnx.names import name_all
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN, lower_in_place
from rbnn_deploy.operators import BINARY_CONV2D, DOMAIN, DOMAIN_VERSION, BinaryConv2dAttributes, Threshold

OPSET = 20  # Gelu
Shape = tuple[int, ...]


class PlainGraph:
    """Collects nodes and constants; shapes of values are inferred node by node.

    Attributes:
        shapes: By name of the value; the batch is the first size.
    """

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []
        self.shapes: dict[str, Shape] = {"input": shape}
        self._kinds = {"input": TensorProto.FLOAT}

    def constant(self, array: object, dtype: object = np.float32) -> str:
        name = f"c{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def random(self, *shape: int) -> str:
        return self.constant(self._rng.standard_normal(shape))

    def node(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: object) -> list[str]:
        names = [f"v{len(self._nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(op_type, inputs, names, name=f"n{len(self._nodes)}", **attributes)
        self._infer(node)
        self._nodes.append(node)
        return names

    def _infer(self, node: onnx.NodeProto) -> None:
        known = [name for name in node.input if name in self.shapes]
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info(n, self._kinds[n], self.shapes[n]) for n in dict.fromkeys(known)],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
            self._tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        for value in inferred.graph.output:
            self.shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            self._kinds[value.name] = value.type.tensor_type.elem_type

    def binary(self, x: str, outputs: int | None = None, threshold: Threshold = "sample_mean") -> str:
        """Adds a binary layer of 1 x 1 pixels."""
        batch, channels, height, width = self.shapes[x]
        outputs = outputs or channels
        bits = self._rng.integers(0, 2, (outputs, 1, 1, channels)).astype(bool)
        weight = self.constant(np.packbits(bits, axis=-1, bitorder="little"), np.uint8)
        scale, bias = self.random(outputs), self.random(outputs)
        name = f"b{len(self._nodes)}"
        values = BinaryConv2dAttributes(channels, threshold=threshold).to_dict()
        self._nodes.append(
            helper.make_node(
                BINARY_CONV2D, [x, weight, scale, bias], [name], name=name, domain=PLAIN_DOMAIN, **values
            )
        )
        self.shapes[name], self._kinds[name] = (batch, outputs, height, width), TensorProto.FLOAT
        return name

    def model(self, outputs: Sequence[str]) -> ir.Model:
        def info(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, self._kinds[name], self.shapes[name])

        graph = helper.make_graph(
            self._nodes,
            "plain",
            [info("input")],
            [info(name) for name in outputs],
            self._tensors,
            value_info=[info(name) for name in self.shapes if name not in ("input", *outputs)],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(PLAIN_DOMAIN, 1)]
        return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def lowered(model: ir.Model) -> ir.Model:
    """The same with two Transposes around each binary layer."""
    copy = model.clone()
    lower_in_place(copy)
    return copy


def run(model: ir.Model, x: np.ndarray) -> list[np.ndarray]:
    """Runs a graph whose binary layers are channels-last, by their functions."""
    model = model.clone()
    fill_absent_inputs(model)
    name_all(model, ())
    proto = ir.to_proto(model)
    del proto.opset_import[:]
    for domain, version in (("", OPSET), (DOMAIN, DOMAIN_VERSION), (ML_DOMAIN, ML_VERSION)):
        proto.opset_import.append(helper.make_opsetid(domain, version))
    proto.functions.extend(function(OPSET) for function in FUNCTIONS.values())
    options = onnxruntime.SessionOptions()
    # Its fusions would compose float steps, differently on either side of a Transpose.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": x})


def transposes(model: ir.Model) -> list[int]:
    """Elements that each Transpose of a graph moves, for one of four axes and more than one pixel."""
    moved = []
    for node in model.graph:
        if node.op_type == "Transpose" and node.inputs[0] is not None and node.inputs[0].shape is not None:
            moved.append(int(np.prod([int(d) for d in node.inputs[0].shape])))
    return moved
