"""The C code of each float operator: the same bits as its NumPy form with sums in order."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.generated_c import build, needs_compiler

from rbnn_deploy.exporters.c.operators import EMITTERS
from rbnn_deploy.operators import OPERATORS
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime

pytestmark = needs_compiler
SHAPE = (6, 9, 7)

Step = tuple[str, list[Any], dict[str, Any]]


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape, np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# Chains of operators on a map of 6 x 9 x 7; "x" is the value before, "input" the map itself.
CASES: dict[str, list[Step]] = {
    "conv": [("Conv", ["x", draw(9, 6, 3, 2), draw(9)], {"pads": [1, 0, 2, 1], "strides": [2, 1]})],
    "conv grouped": [
        ("Conv", ["x", draw(4, 3, 3, 3)], {"group": 2, "dilations": [2, 1], "pads": [2, 1, 2, 1]})
    ],
    "conv depthwise": [("Conv", ["x", draw(6, 1, 3, 3), draw(6)], {"group": 6, "pads": [1] * 4})],
    "conv 1 x 1": [("Conv", ["x", draw(17, 6, 1, 1), draw(17)], {})],
    "conv stored channels-last": [
        ("Conv", ["x", draw(5, 6, 3, 3), draw(5)], {"pads": [1] * 4}),
        ("Clip", ["x", np.float32(-1), np.float32(1)], {}),
        ("MaxPool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}),
        ("Transpose", ["x"], {"perm": [0, 2, 3, 1]}),
        ("Add", ["x", draw(5)], {}),
    ],
    "max pool": [("MaxPool", ["x"], {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]})],
    "max pool dilated": [("MaxPool", ["x"], {"kernel_shape": [2, 2], "dilations": [2, 3]})],
    "average pool": [("AveragePool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4})],
    "average pool with padding": [
        ("AveragePool", ["x"], {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1})
    ],
    "global pool": [("GlobalAveragePool", ["x"], {})],
    "mean": [("ReduceMean", ["x", integers(2, 3)], {"keepdims": 0})],
    "mean of channels": [("ReduceMean", ["x", integers(1)], {})],
    "sum": [("ReduceSum", ["x", integers(-1)], {})],
    "maximum": [("ReduceMax", ["x", integers(1, 2)], {"keepdims": 0})],
    "relu": [("Relu", ["x"], {})],
    "clip below": [("Clip", ["x", np.float32(0.25)], {})],
    "clip above": [("Clip", ["x", "", np.float32(0.5)], {})],
    "batch norm": [
        (
            "BatchNormalization",
            ["x", draw(6), draw(6) + 1, draw(6) - 1, draw(6) ** 2],
            {"epsilon": 1e-3},
        )
    ],
    "batch norm of a row": [
        ("Flatten", ["x"], {}),
        ("BatchNormalization", ["x", *(abs(draw(378)) for _ in range(4))], {}),
    ],
    "leaky relu": [("LeakyRelu", ["x"], {"alpha": 0.1})],
    "prelu": [("PRelu", ["x", draw(6, 1, 1)], {})],
    "add channels": [("Add", ["x", draw(6, 1, 1)], {})],
    "add a number": [("Add", [draw(1), "x"], {})],
    "smaller": [("Min", ["x", draw(6, 1, 1)], {})],
    "larger": [("Max", [draw(1), "x"], {}), ("Max", ["x", "input"], {})],
    "where less": [("Less", ["x", draw(6, 1, 1)], {}), ("Where", ["x", draw(7), draw(6, 9, 7)], {})],
    "where greater": [("Greater", ["x", np.float32(0)], {}), ("Where", ["x", "input", draw(9, 1)], {})],
    "multiply columns": [("Mul", ["x", draw(7)], {})],
    "subtract and divide": [("Sub", ["x", draw(9, 1)], {}), ("Div", ["x", draw(6, 9, 7)], {})],
    "residual": [("Relu", ["x"], {}), ("Add", ["x", "input"], {}), ("Mul", ["x", "x"], {})],
    "attention over channels": [("GlobalAveragePool", ["x"], {}), ("Mul", ["x", "input"], {})],
    "transpose": [("Transpose", ["x"], {"perm": [0, 3, 1, 2]})],
    "slice": [("Slice", ["x", integers(1, -5), integers(99, -1), integers(2, 3), integers(3, 2)], {})],
    "slice in place": [
        ("Relu", ["x"], {}),
        ("Slice", ["x", integers(0), integers(9), integers(2), integers(2)], {}),
    ],
    "pad": [("Pad", ["x", integers(0, 1, 2, 0, 0, 3, 0, 1), np.float32(2.5)], {})],
    "pad axes": [("Pad", ["x", integers(1, 2), np.float32(0), integers(3)], {})],
    "concat": [("Relu", ["x"], {}), ("Concat", ["x", "input", "x"], {"axis": 1})],
    "concat of columns": [("Concat", ["x", "input"], {"axis": -1})],
    "views": [
        ("Reshape", ["x", integers(-1, 54, 7)], {}),
        ("Unsqueeze", ["x", integers(1)], {}),
        ("Squeeze", ["x", integers(1)], {}),
        ("Identity", ["x"], {}),
        ("Flatten", ["x"], {}),
        ("Relu", ["x"], {}),
    ],
    "matrix": [("MatMul", ["x", draw(7, 11)], {})],
    "row times map": [("Reshape", ["x", integers(-1, 54, 7)], {}), ("MatMul", [draw(1, 54), "x"], {})],
    "gemm": [("Flatten", ["x"], {}), ("Gemm", ["x", draw(10, 378), draw(10)], {"transB": 1})],
    "gemm without bias": [("Flatten", ["x"], {}), ("Gemm", ["x", draw(378, 3)], {})],
    "nothing": [("Identity", ["x"], {})],
}  # fmt: skip


def chain(steps: list[Step], shape: tuple[int, ...] = SHAPE) -> onnx.ModelProto:
    """Builds a model in which each operator reads the one before."""
    nodes, tensors, x = [], [], "input"
    for index, (op, inputs, attributes) in enumerate(steps):
        names = []
        for value in inputs:
            if isinstance(value, str):
                names.append(x if value == "x" else value)
            else:
                names.append(f"tensor{len(tensors)}")
                tensors.append(numpy_helper.from_array(np.asarray(value), names[-1]))
        nodes.append(helper.make_node(op, names, [f"value{index}"], name=f"node {index}", **attributes))
        x = f"value{index}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES.keys())
def test_operator(steps: list[Step], tmp_path: Path) -> None:
    model = build(chain(steps), tmp_path)
    x = np.random.default_rng(0).standard_normal((1, *SHAPE), np.float32)
    x[0, 0, 0, :3] = [0, -0.0, 1e-40]
    expected = NumpyRuntime(tmp_path / "model.onnx", in_order=True).run(x)
    assert np.array_equal(model.run(x[0])[0], expected.ravel())


def test_split(tmp_path: Path) -> None:
    proto = chain([("Split", ["x"], {"axis": 1, "num_outputs": 2}), ("Relu", ["x"], {})])
    proto.graph.node[0].output.append("second")
    proto.graph.node.append(helper.make_node("Concat", ["second", "value1"], ["joined"], axis=3))
    proto.graph.output[0].name = "joined"
    model = build(proto, tmp_path)
    x = np.random.default_rng(0).standard_normal((1, *SHAPE), np.float32)
    expected = NumpyRuntime(tmp_path / "model.onnx", in_order=True).run(x)
    assert np.array_equal(model.run(x[0])[0], expected.ravel())


@pytest.mark.parametrize("op", ["Relu", "Clip", "Min", "Max", "MaxPool"])
def test_a_nan_passes(op: str, tmp_path: Path) -> None:
    others = {"Clip": [np.float32(-1), np.float32(1)], "Min": [np.float32(1)], "Max": [np.float32(-1)]}
    inputs: list[Any] = ["x", *others.get(op, [])]
    model = build(chain([(op, inputs, {"kernel_shape": [2, 2]} if op == "MaxPool" else {})]), tmp_path)
    x = np.zeros(SHAPE, np.float32)
    x[2, 4, 3] = np.nan
    assert np.isnan(model.run(x)[0]).sum() == (4 if op == "MaxPool" else 1)


def test_every_operator_of_the_table_is_tested() -> None:
    tested = {op for steps in CASES.values() for op, _, _ in steps}
    elsewhere = {*OPERATORS, "Split", "Constant"}
    assert EMITTERS.keys() - tested == elsewhere
