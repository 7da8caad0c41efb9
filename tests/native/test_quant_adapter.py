"""QuantConv2d inside ONNX Runtime: NumPy's bits, what it refuses, and what must not change a result."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper, numpy_helper
from support.nodes import operator_model_of, run_operator
from support.oracle import same_bits
from support.quant_cases import QuantCase, make_quant_case, quant_cases, quant_rows

from rbnn_deploy.operators import DOMAIN, DOMAIN_VERSION, QUANT_CONV2D, Field, QuantConv2dAttributes
from rbnn_deploy.operators.fields import LARGEST
from rbnn_deploy.runtimes.library import library_info
from rbnn_deploy.runtimes.numpy_backend.quant_conv2d import quant_conv2d
from rbnn_deploy.runtimes.onnx_runtime import create_session

ATTRIBUTES: dict[str, Any] = QuantConv2dAttributes(channels=8, pads=(1, 1, 1, 1)).to_dict()
Values = dict[str, np.ndarray | None]


def arrays(**changed: np.ndarray | None) -> Values:
    """Draws inputs that fit ATTRIBUTES: C = 8, O = 4."""
    rng = np.random.default_rng(6)
    values: Values = {
        "X": rng.standard_normal((2, 5, 6, 8), dtype=np.float32),
        "W": rng.integers(-128, 128, (4, 3, 3, 8), np.int8),
        "scale": rng.standard_normal(4, dtype=np.float32),
        "bias": rng.standard_normal(4, dtype=np.float32),
        "factor": np.float32([30]),
        "R": None,
    }
    return values | changed


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def expected(values: Values, attributes: dict[str, Any]) -> np.ndarray:
    return quant_conv2d(**values, attributes=QuantConv2dAttributes.from_mapping(attributes))


def run_case(case: QuantCase, threads: int = 1) -> np.ndarray:
    return run_operator(QUANT_CONV2D, case.arrays(), case.attributes.to_dict(), threads=threads)


@pytest.mark.parametrize("case", quant_cases(200, seed=12), ids=str)
def test_every_bit_is_that_of_numpy(case: QuantCase, kernel: str) -> None:
    assert same_bits(run_case(case), quant_conv2d(**case.arrays(), attributes=case.attributes))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(row=quant_rows())
def test_any_shape_on_any_kernel(row: dict[str, Any]) -> None:
    case = make_quant_case(row)
    want = quant_conv2d(**case.arrays(), attributes=case.attributes)
    for kernel in library_info()["kernels"]:
        if kernel["available"]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RBNN_KERNEL", kernel["name"])
                assert same_bits(run_case(case), want), kernel["name"]


def test_threads_change_no_bit(kernel: str) -> None:
    rng = np.random.default_rng(3)
    values = arrays(
        X=rng.standard_normal((3, 8, 65, 63), dtype=np.float32),
        W=rng.integers(-128, 128, (70, 3, 3, 8), np.int8),
        scale=rng.standard_normal(70, dtype=np.float32),
        bias=rng.standard_normal(70, dtype=np.float32),
        R=rng.standard_normal((3, 65, 63, 70), dtype=np.float32),
    )
    pool = {"pool_kernel": [3, 3], "pool_strides": [2, 2], "pool_pads": [1, 1, 1, 1]}
    for changed in ({}, pool):
        attributes = ATTRIBUTES | {"layout": "channels_first"} | changed
        runs = [run_operator(QUANT_CONV2D, values, attributes, threads=threads) for threads in (1, 2, 3)]
        for y in runs:
            assert y.tobytes() == expected(values, attributes).tobytes()


@pytest.mark.parametrize("constants", [("W", "scale", "bias", "factor"), ("W",), ("scale", "factor"), ()])
def test_tensors_need_not_be_constant(constants: tuple[str, ...], kernel: str) -> None:
    values = arrays(R=np.float32([[0.5]]))
    model = operator_model_of(QUANT_CONV2D, values, ATTRIBUTES)
    graph = model.graph
    del graph.initializer[:]
    stored = [numpy_helper.from_array(values[name], name) for name in constants]
    names = [name for name in values if name not in constants]
    fed = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype), None)
        for name in names
    ]
    graph.CopyFrom(helper.make_graph(graph.node, "node", fed, graph.output, stored))
    session = create_session(model.SerializeToString(), library=True, threads=1)
    (y,) = session.run(None, {name: values[name] for name in names})
    assert y.tobytes() == expected(values, ATTRIBUTES).tobytes()


@pytest.mark.parametrize("pool", [{}, {"pool_kernel": [3, 3], "pool_pads": [1, 1, 1, 1]}])
def test_a_residual_that_nothing_else_reads(pool: dict[str, Any], kernel: str) -> None:
    # Y is as large as R, but must not take its memory: below a pool, R is read after Y was written.
    rng = np.random.default_rng(4)
    R = rng.standard_normal((2, 5, 6, 4), dtype=np.float32)
    values, attributes = arrays(R=R), ATTRIBUTES | pool
    model = operator_model_of(QUANT_CONV2D, values, attributes)
    for value in model.graph.input:
        if value.name == "R":
            value.name = "half"
    model.graph.node.insert(0, helper.make_node("Add", ["half", "half"], ["R"]))
    model.graph.node.append(helper.make_node("Neg", ["Y"], ["negative"]))
    model.graph.output[0].name = "negative"
    session = create_session(model.SerializeToString(), library=True, threads=2)
    feeds = {name: value for name, value in values.items() if name not in ("W", "R")}
    (y,) = session.run(None, feeds | {"half": R / 2})
    assert (-y).tobytes() == expected(values, attributes).tobytes()


@pytest.mark.parametrize(
    ("values", "attributes", "sentence"),
    [
        ({"X": zeros(5, 6, 8)}, {}, r"X must .*\[5, 6, 8\]"),
        ({"X": zeros(2, 5, 6, 7)}, {}, r"X must .*\b8\b.*\[2, 5, 6, 7\]"),
        ({}, {"layout": "channels_first"}, r"X must .*\[N, .*, H, W\].*\[2, 5, 6, 8\]"),
        ({"X": zeros(2, 0, 6, 8)}, {}, "H and W of X must be at least 1"),
        ({"X": zeros(0, 5, 0, 8)}, {"mean_kernel": [0, 0]}, "H and W of X must be at least 1"),
        ({"W": np.zeros((4, 3, 3), np.int8)}, {}, r"W must .*\[4, 3, 3\]"),
        ({"W": np.zeros((4, 3, 3, 7), np.int8)}, {}, r"W must .*\b8\b.*\[4, 3, 3, 7\]"),
        ({"W": np.zeros((4, 3, 3, 8), np.int8)}, {"groups": 2}, r"W must .*\b4\b.*\[4, 3, 3, 8\]"),
        ({"W": np.zeros((4, 9, 3, 8), np.int8)}, {}, "exceeds the padded map"),
        ({"scale": zeros(5)}, {}, r"scale must .*\[4\].*\[5\]"),
        ({"bias": zeros(4, 1)}, {}, r"bias must .*\[4\].*\[4, 1\]"),
        ({"factor": zeros(4)}, {}, r"factor must .*one element.*\[4\]"),
        ({"factor": zeros(0)}, {}, r"factor must .*one element.*\[0\]"),
        ({"R": zeros(2, 5, 6, 5)}, {}, r"R must .*\[2, 5, 6, 4\].*\[2, 5, 6, 5\]"),
        ({"R": zeros(0)}, {}, r"R must .*\[2, 5, 6, 4\].*\[0\]"),
        ({"R": zeros(2, 2, 3, 4)}, {"pool_kernel": [2, 2], "pool_strides": [2, 2]}, "R must .*2, 5, 6, 4"),
        ({}, {"mean_kernel": [6, 6]}, "a mean over .* exceeds the map"),
        ({}, {"mean_kernel": [0, 0], "pads": [0] * 4}, "exceeds the padded map"),
        ({}, {"pool_kernel": [6, 1]}, "a pool window of .* exceeds the padded map"),
        ({}, {"pool_pads": [1, 0, 0, 0]}, "pool_pads.* must be smaller than .*pool_kernel"),
        ({}, {"low": -128, "high": 128}, "high.* - .*low.* 255"),
        ({}, {"groups": 3}, "groups.* must divide"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_refused(values: Values, attributes: dict[str, Any], sentence: str) -> None:
    given_values, attributes = arrays(**values), ATTRIBUTES | attributes
    with pytest.raises(Exception, match=f"QuantConv2d: .*{sentence}"):
        run_operator(QUANT_CONV2D, given_values, attributes)
    with pytest.raises(ValueError, match=sentence):
        expected(given_values, attributes)


@pytest.mark.parametrize("name", ["X", "W", "scale", "bias", "factor", "R"])
def test_a_wrong_type_is_refused(name: str) -> None:
    values = arrays(R=zeros(1))
    values[name] = values[name].astype(np.uint8 if name == "W" else np.float64)
    # ONNX Runtime compares the types with those that the library declares, so the words are its own.
    with pytest.raises(Exception, match=r"Type Error|INVALID_GRAPH|No Op registered|type"):
        run_operator(QUANT_CONV2D, values, ATTRIBUTES)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_a_missing_attribute_is_refused(name: str) -> None:
    attributes = {key: value for key, value in ATTRIBUTES.items() if key != name}
    with pytest.raises(Exception, match=f"QuantConv2d: attribute '{name}' must be written on the node"):
        run_operator(QUANT_CONV2D, arrays(), attributes)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("layout", "nchw", "must be one of channels_first, channels_last, but is 'nchw'"),
        ("layout", "channels_last" * 10, "must be one of channels_first"),
        ("layout", 1, "must be written on the node as a string"),
        ("activation", "prelu", "must be one of none, hardtanh, relu, but is 'prelu'"),
        ("mean_kernel", [2], "must hold 2 integers, but holds 1"),
        ("pool_pads", [1, 1], "must hold 4 integers, but holds 2"),
        ("low", [0], "must be written on the node as an integer"),
        ("pads", [2**31 - 1] * 4, "too large"),
    ],
)
def test_a_wrong_attribute_is_refused(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(Exception, match=f"QuantConv2d: .*{sentence}"):
        run_operator(QUANT_CONV2D, arrays(), ATTRIBUTES | {name: value})


@pytest.mark.parametrize(
    "field", [f for f in QuantConv2dAttributes.fields() if f.kind != "STRING"], ids=lambda f: f.name
)
@pytest.mark.parametrize("above", [False, True])
def test_bounds_are_those_of_python(field: Field, above: bool) -> None:
    outside = field.most + 1 if above else field.least - 1
    value = outside if field.kind == "INT" else [outside] * field.count
    # Both integers of an activation are in one sentence.
    bounds = f"{field.least} to {field.most}" if field.most == LARGEST else "-255 .*255"
    with pytest.raises(Exception, match=f"QuantConv2d: .*{field.name}.*{bounds}"):
        run_operator(QUANT_CONV2D, arrays(), ATTRIBUTES | {field.name: value})
    with pytest.raises(ValueError, match=f"{field.name}.* from {field.least} to {field.most}"):
        QuantConv2dAttributes.from_mapping(ATTRIBUTES | {field.name: value})


def test_sums_that_int32_might_not_hold_are_refused() -> None:
    channels = (2**31 - 1) // (255 * 128)
    for more in (0, 1):
        a = QuantConv2dAttributes(channels=channels + more, low=0, high=255)
        values = arrays(
            X=np.full((1, 1, 1, a.channels), 255, np.float32),
            W=np.full((4, 1, 1, a.channels), -128, np.int8),
            factor=np.float32([1]),
        )
        if more:
            with pytest.raises(Exception, match=r"QuantConv2d: .* below 2\^31, so that int32 holds"):
                run_operator(QUANT_CONV2D, values, a.to_dict())
        else:
            y = run_operator(QUANT_CONV2D, values, a.to_dict())
            assert y.tobytes() == expected(values, a.to_dict()).tobytes()


@pytest.mark.parametrize(
    ("weights", "channels"), [((1, 2**23, 1, 1), 1), ((2**20, 1, 1, 1), 2**20)], ids=["rows", "groups"]
)
def test_weights_that_are_nearly_all_gaps_are_refused(weights: tuple[int, ...], channels: int) -> None:
    a = QuantConv2dAttributes(channels=channels, groups=channels, low=0, high=1)
    affine = {"scale": zeros(weights[0]), "bias": zeros(weights[0])}
    values = arrays(X=zeros(1, 1, 1, channels), W=np.zeros(weights, np.int8), **affine)
    with pytest.raises(Exception, match=r"QuantConv2d: a W of \d+ bytes would take \d+ bytes in memory"):
        run_operator(QUANT_CONV2D, values, a.to_dict())


def test_a_large_depthwise_layer_runs() -> None:
    a = QuantConv2dAttributes(channels=2048, groups=2048, pads=(1,) * 4)
    one = np.ones(2048, np.float32)
    values = {
        "X": np.ones((1, 5, 5, 2048), np.float32),
        "W": np.ones((2048, 3, 3, 1), np.int8),
        "scale": one,
        "bias": 0 * one,
        "factor": one[:1],
    }
    y = run_operator(QUANT_CONV2D, values, a.to_dict())
    assert (y[:, 1:-1, 1:-1] == 9).all()


MEASURED = """
import resource
import numpy as np
from native.test_quant_adapter import ATTRIBUTES, arrays, run_operator
values = arrays(X=np.zeros((0, 2**20, 2**9, 8), np.float32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = run_operator("QuantConv2d", values, ATTRIBUTES)
print(y.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_samples_take_no_memory() -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        capture_output=True,
        text=True,
        check=False,
        cwd=tests,
        env={"PYTHONPATH": f"{tests}:{tests.parent}"},
    )
    assert done.returncode == 0, done.stderr
    shape, _, kilobytes = done.stdout.rpartition(" ")
    assert shape == f"(0, {2**20}, {2**9}, 4)"
    assert int(kilobytes) < 2**18


def test_a_pool_window_as_large_as_sizes_can_be() -> None:
    size = 2**31 - 1
    pool = {"pool_kernel": [size] * 2, "pool_pads": [size - 1, 0, 0, size - 1], "pool_strides": [size] * 2}
    y = run_operator(QUANT_CONV2D, arrays(), ATTRIBUTES | pool)
    assert y.tobytes() == expected(arrays(), ATTRIBUTES | pool).tobytes()
    for pads in ([9999] * 4, [9999, 0, 9999, 0]):
        wide = ATTRIBUTES | {"pool_kernel": [10000] * 2, "pool_pads": pads}
        with pytest.raises(
            Exception, match=r"QuantConv2d: a (pooled map|pool window) of .* (too large|exceeds)"
        ):
            run_operator(QUANT_CONV2D, arrays(), wide)


@pytest.mark.parametrize(
    ("x", "attributes", "y"),
    [
        ([2, 5, 6, 8], {}, [2, 5, 6, 4]),
        (["n", 5, 6, 8], {"pool_kernel": [3, 3], "pool_strides": [2, 2]}, ["n", 2, 2, 4]),
        (["n", 8, 5, 6], {"layout": "channels_first"}, ["n", 5, 6, 4]),
        (["n", "h", 6, 8], {"mean_kernel": [0, 2], "mean_strides": [1, 2]}, ["n", str, 3, 4]),
        (["n", 5, "w", 8], {"mean_kernel": [0, 0], "pads": [1] * 4}, ["n", 1, str, 4]),
        ([None, None, None, 8], {}, [str, str, str, 4]),
        (None, {}, []),
    ],
)
def test_the_output_shape_is_inferred(x: list | None, attributes: dict[str, Any], y: list) -> None:
    values = arrays()
    names = [name for name in values if values[name] is not None]
    node = helper.make_node(QUANT_CONV2D, names, ["Y"], domain=DOMAIN, **(ATTRIBUTES | attributes))
    initializers = [numpy_helper.from_array(values[name], name) for name in names if name != "X"]
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, x)]
    outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "shapes", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    shape = create_session(model, library=True).get_outputs()[0].shape
    assert len(shape) == len(y)
    assert all(
        isinstance(got, str) if want is str else got == want for got, want in zip(shape, y, strict=True)
    )
    names = [dim for dim in shape if isinstance(dim, str)]
    assert len(set(names)) == len(names)


def test_damaged_nodes_end_in_an_error_or_a_result() -> None:
    """Random shapes and attributes: whatever a file holds, the process survives it."""
    rng, refused = np.random.default_rng(13), []
    for _ in range(400):
        values, attributes = arrays(), dict(ATTRIBUTES)
        for name in rng.choice(["X", "W", "scale", "bias", "factor", "R"], rng.integers(0, 2)):
            rank = int(rng.choice([0, 1, 2, 3, 4, 4, 4, 5]))
            shape = [int(size) for size in rng.choice([0, 1, 1, 2, 3, 5, 8, 9], rank)]
            values[name] = rng.integers(-9, 9, shape).astype(np.int8 if name == "W" else np.float32)
        for name in rng.choice(sorted(attributes), rng.integers(0, 3)):
            if not isinstance(attributes[name], str):
                some = [int(v) for v in rng.choice([-1, 0, 1, 1, 2, 3, 8, 2**31 - 1, 2**62], 4)]
                field = attributes[name]
                attributes[name] = some[0] if isinstance(field, int) else some[: len(field)]
        try:
            y = run_operator(QUANT_CONV2D, values, attributes)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            refused.append(str(error))
        else:
            assert same_bits(y, expected(values, attributes))
    assert 100 < len(refused) < 350
    assert all("QuantConv2d" in sentence for sentence in refused)
