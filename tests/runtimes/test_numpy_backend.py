"""The NumPy backend's own edges: what it refuses, blocks of samples, and its float pooling."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from support.operator_cases import random_cases

from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend import binary_conv2d as arithmetic
from rbnn_deploy.runtimes.numpy_backend.operators import NEW_OPS
from rbnn_deploy.runtimes.onnx_runtime import create_session


def arguments(**changes: object) -> dict:
    ones = np.ones(4, np.float32)
    values = {
        "X": np.zeros((2, 5, 5, 12), np.float32),
        "W": np.zeros((4, 3, 3, 1), np.uint8),
        "scale": ones,
        "bias": ones,
        "R": None,
        "attributes": BinaryConv2dAttributes(12, groups=2),
    }
    return values | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.zeros((2, 5, 5, 12))}, "X must be float32, not float64"),
        ({"X": np.zeros((2, 5, 5, 11), np.float32)}, r"X must have shape \[N, H, W, 12\]"),
        ({"X": np.zeros((5, 5, 12), np.float32)}, "X must have shape"),
        ({"X": np.zeros((2, 0, 5, 12), np.float32)}, "H and W of X must be at least 1"),
        ({"W": np.zeros((4, 3, 3, 2), np.uint8)}, r"W must have shape \[O, KH, KW, 1\]"),
        ({"W": np.zeros((4, 0, 3, 1), np.uint8)}, "W must have shape"),
        ({"W": np.zeros((4, 3, 3, 1), np.int8)}, "W must be uint8"),
        ({"W": np.zeros((3, 3, 3, 1), np.uint8)}, "must divide the output channels"),
        ({"W": np.zeros((4, 6, 3, 1), np.uint8)}, "exceeds the padded map"),
        ({"scale": np.ones(3, np.float32)}, r"scale must have shape \[4\]"),
        ({"bias": np.ones((4, 1), np.float32)}, r"bias must have shape \[4\]"),
        ({"R": np.ones((2, 3, 3, 3), np.float32)}, r"R must have shape \[2, 3, 3, 4\] or one element"),
        ({"R": np.ones((2, 3, 3, 4))}, "R must be float32"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict, message: str) -> None:
    arithmetic.binary_conv2d(**arguments())
    with pytest.raises(ValueError, match=message):
        arithmetic.binary_conv2d(**arguments(**changes))


def test_a_sum_that_float32_cannot_hold_is_refused() -> None:
    attributes = BinaryConv2dAttributes(1 << 22, pads=(3, 3, 3, 3))
    W = np.zeros((1, 2, 2, 1 << 19), np.uint8)
    X = np.zeros((0, 1, 1, 1 << 22), np.float32)
    ones = np.ones(1, np.float32)
    with pytest.raises(ValueError, match="not exact in float32"):
        arithmetic.binary_conv2d(X, W, ones, ones, attributes=attributes)


def test_blocks_of_samples_and_bands_of_maps_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in random_cases(60) if case.row["batch"] == 3]
    assert len(cases) > 10
    whole_rows, parts_of_rows, results = 0, 0, []
    for block in (30, 200, 2000, 1 << 30):
        monkeypatch.setattr(arithmetic, "BLOCK_SUMS", block)
        results.append([arithmetic.binary_conv2d(**c.arrays(), attributes=c.attributes) for c in cases])
        for c in cases:
            size = c.attributes.output_size(c.row["map"], c.kernel)
            bands = list(arithmetic.bands(size, c.outputs))
            whole_rows += len(bands) > 1 and len(bands[0][1]) == size[1]
            parts_of_rows += len(bands[0][1]) < size[1]
    assert whole_rows > 5
    assert parts_of_rows > 5
    for different in zip(*results, strict=True):
        for other in different[1:]:
            np.testing.assert_array_equal(different[0], other)


MEASURED = """
import resource
import numpy as np
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
ones, X = np.ones(16, np.float32), np.ones((1, 5, 5, 8), np.float32)
attributes = BinaryConv2dAttributes(8, pads=(2043, 0, 0, 2043))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Y = binary_conv2d(X, np.zeros((16, 1, 1, 1), np.uint8), ones, ones, attributes=attributes)
print(Y.nbytes, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_the_largest_padding_takes_little_more_memory_than_the_output() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], check=True, capture_output=True, text=True)
    output, taken = map(int, done.stdout.split())
    assert output == 4 * 16 * 2048**2
    assert taken < output + 2**26  # all at once took three times the output


def test_padding_beyond_the_limit_is_refused() -> None:
    attributes = BinaryConv2dAttributes(12, groups=2, pads=(2046, 0, 0, 2046))
    with pytest.raises(ValueError, match="2049 x 2049 pixels, more than 4 times the input map"):
        arithmetic.binary_conv2d(**arguments(attributes=attributes))


WINDOWS = list(
    itertools.product(
        ((2, 2), (3, 2)), ((1, 1), (2, 2), (2, 1)), ((0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 1)), (False, True)
    )
)


@pytest.mark.parametrize(("window", "strides", "pads", "flag"), WINDOWS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_equals_onnx_runtime(op: str, window: tuple, strides: tuple, pads: tuple, flag: bool) -> None:
    extra = {}
    if flag:  # a dilated window goes to onnx's own operator
        extra = {"dilations": (2, 2)} if op == "MaxPool" else {"count_include_pad": 1}
    node = helper.make_node(op, ["x"], ["y"], kernel_shape=window, strides=strides, pads=pads, **extra)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph([node], "pool", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6), dtype=np.float32)
    (want,) = create_session(model.SerializeToString(), library=False).run(None, {"x": x})
    (got,) = ReferenceEvaluator(model, new_ops=NEW_OPS).run(None, {"x": x})
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-6)  # a mean of 6 values near 1, in another order
