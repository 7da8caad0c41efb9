"""Random QONNX graphs of the topologies that Brevitas exports: TFC (linear layers) and CNV (convolutions).

Scales are powers of two and float sums multiples of them, so that the qonnx package and we must give equal
outputs. Thresholds are drawn so that many sums lie on them.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.exporters.qonnx.domain import BIPOLAR_QUANT, QONNX_DOMAIN
from rbnn_deploy.exporters.qonnx.shapes import infer_shapes

POWERS = (0.25, 0.5, 1.0, 2.0)
CLASSES = 5


class QonnxGraph:
    """Collects nodes and constants of one graph.

    Args:
        rng: Of all that is drawn.
        shape: (C, H, W) of the input.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> None:
        self.rng, self.shape = rng, shape
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def constant(self, array: object, dtype: object = np.float32, name: str | None = None) -> str:
        name = name or f"c{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def node(self, op_type: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        name = f"v{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(
                op_type, inputs, [name], name=f"n{len(self._nodes)}", domain=domain, **attributes
            )
        )
        return name

    def quantizer(self, op_type: str, *inputs: str, **attributes: object) -> str:
        return self.node(op_type, *inputs, domain=QONNX_DOMAIN, **attributes)

    def bipolar(self, x: str, scale: object = 1.0) -> str:
        return self.quantizer(BIPOLAR_QUANT, x, self.constant(scale))

    def power(self) -> float:
        return float(self.rng.choice(POWERS))

    def weights(self, *shape: int) -> str:
        """Draws float weights, zeros among them; quantises them with one scale, or one per output channel."""
        rng = self.rng
        values = rng.standard_normal(shape).astype(np.float32)
        values[rng.random(shape) < 0.05] = 0
        rows = (shape[0], *(1,) * (len(shape) - 1))
        per_channel = rng.choice(POWERS, rows) * rng.choice([-1, 1], rows)
        return self.bipolar(self.constant(values), per_channel if rng.random() < 0.5 else self.power())

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """Adds a bipolar linear layer in one of the forms that exporters write."""
        weight, form = self.weights(outputs, inputs), int(self.rng.integers(3))
        if form == 0:
            return self.node("MatMul", x, self.node("Transpose", weight, perm=[1, 0]))
        if form == 1:
            return self.node("Gemm", x, weight, transB=1)
        bias = self.constant(self.rng.integers(-3, 4, outputs))
        return self.node("Gemm", x, self.node("Transpose", weight, perm=[1, 0]), bias, alpha=2.0, beta=0.5)

    def steps(self, x: str, channels: int, rank: int) -> str:
        """Adds what may stand between a layer and the next sign; ties, negative and zero factors among it."""
        rng = self.rng
        row = (channels, *(1,) * (rank - 2))

        def small() -> str:
            return self.constant(rng.integers(-4, 5, row) / 2)

        form = int(rng.integers(5))
        if form == 0:
            return self.batch_norm(x, channels)
        if form == 1:
            return self.node("Sub", self.node("Add", x, small()), small())
        if form == 2:
            divisor = self.constant(rng.choice(POWERS, row) * rng.choice([-1, 1], row))
            return self.node("Div", self.node("Sub", small(), x), divisor)
        if form == 3:
            factor = self.constant(rng.standard_normal(row) * (rng.random(row) < 0.9))
            return self.node("Add", self.node("Mul", x, factor), self.constant(rng.standard_normal(1)))
        return x

    def batch_norm(self, x: str, channels: int) -> str:
        rng = self.rng
        gamma = rng.standard_normal(channels) * (rng.random(channels) < 0.9)
        beta = rng.standard_normal(channels) * (rng.random(channels) < 0.5)  # 0 where the mean is a tie
        mean, var = rng.integers(-6, 7, channels), rng.uniform(0.3, 20, channels)
        tensors = [self.constant(array) for array in (gamma, beta, mean, var)]
        return self.node("BatchNormalization", x, *tensors, epsilon=1e-4)

    def sign(self, x: str, channels: int) -> str:
        """Adds a bipolar activation: BipolarQuant, Quant of one bit, or one threshold per channel."""
        form, scale = int(self.rng.integers(6)), self.power()
        if form == 0:
            zero, one = self.constant(0), self.constant(1)
            return self.quantizer("Quant", x, self.constant(scale), zero, one, signed=1, narrow=0)
        if form == 1:
            thresholds = self.constant(self.rng.integers(-4, 5, (channels, 1)) / 2)
            levels = {"out_scale": 2 * scale, "out_bias": -scale, "out_dtype": "BIPOLAR"}
            return self.quantizer("MultiThreshold", x, thresholds, **levels)
        return self.bipolar(x, -scale if form == 2 else scale)

    def model(self, output: str, opset: int, *, shapes: bool = True) -> onnx.ModelProto:
        """Builds the model, with the shape of every value, as the qonnx package asks, or without."""
        graph = helper.make_graph(
            self._nodes,
            "random",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *self.shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, CLASSES] if shapes else None)],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        if shapes:
            model.graph.value_info.extend(infer_shapes(model)[:-1])
        return model


def random_tfc(seed: int) -> onnx.ModelProto:
    """Draws linear layers on a bipolar image; pixels are from 0 to 1."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    graph = QonnxGraph(rng, shape)
    x, width = graph.node("Reshape", "x", graph.constant([1, -1], np.int64)), int(np.prod(shape))
    x = graph.node("Sub", graph.node("Mul", x, graph.constant(2)), graph.constant([1]))
    x = graph.sign(x, width)
    for _ in range(int(rng.integers(1, 4))):
        outputs = int(rng.integers(1, 70))
        x = graph.sign(graph.steps(graph.linear(x, width, outputs), outputs, 2), outputs)
        width = outputs
    x = graph.node("Mul", graph.linear(x, width, CLASSES), graph.constant(graph.power()))
    return graph.model(x, opset=int(rng.choice([11, 13, 18, 20])))


def random_cnv(seed: int) -> onnx.ModelProto:
    """Draws convolutions on an image of 8 bits, with pools and residuals, and linear layers at the end."""
    rng = np.random.default_rng(seed)
    channels, size = int(rng.integers(1, 4)), int(rng.integers(8, 13))
    graph = QonnxGraph(rng, (channels, size, size))
    scale, zero, bits = graph.constant(2.0**-7), graph.constant(0), graph.constant(8)
    x = graph.quantizer("Quant", "x", scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND")
    outputs = int(rng.choice([8, 12, 33]))
    x = graph.node("Conv", x, graph.weights(outputs, channels, 3, 3), kernel_shape=[3, 3])
    x = graph.node("Sub", x, graph.constant(rng.integers(-4, 5, (outputs, 1, 1)) / 2))
    size, channels = size - 2, outputs
    for _ in range(int(rng.integers(1, 4))):
        bits_of_x = graph.sign(x, channels)
        if size >= 4 and rng.random() < 0.4:
            bits_of_x = graph.node("MaxPool", bits_of_x, kernel_shape=[2, 2], strides=[2, 2])
            size //= 2
        kernel = int(rng.choice([k for k in (1, 3) if k <= size]))
        groups = int(rng.choice([g for g in (1, 1, 2, channels) if channels % g == 0]))
        outputs = channels if rng.random() < 0.5 else groups * int(rng.integers(1, 1 + max(1, 40 // groups)))
        y = graph.node(
            "Conv",
            bits_of_x,
            graph.weights(outputs, channels // groups, kernel, kernel),
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            group=groups,
        )
        if outputs == channels and rng.random() < 0.4:  # the bits themselves are the residual
            y = graph.node("Add", y, bits_of_x)
        else:
            y = graph.steps(y, outputs, 4)
        x, channels = y, outputs
    x = graph.node("Reshape", graph.sign(x, channels), graph.constant([1, channels * size * size], np.int64))
    x = graph.node("Mul", graph.linear(x, channels * size * size, CLASSES), graph.constant(graph.power()))
    return graph.model(x, opset=int(rng.choice([11, 13, 18, 20])))
