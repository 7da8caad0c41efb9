"""The library inside ONNX Runtime: what it refuses and how it says so, and what must not change a result."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.nodes import ATTRIBUTES, run_node, tensors

from rbnn_deploy.operators import BINARY_CONV2D, DOMAIN, DOMAIN_VERSION, BinaryConv2dAttributes, Field
from rbnn_deploy.operators.fields import LARGEST
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.onnx_runtime import create_session


def expected(values: dict[str, np.ndarray]) -> np.ndarray:
    return binary_conv2d(**values, attributes=BinaryConv2dAttributes.from_mapping(ATTRIBUTES))


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("X", (2, 5, 6), r"X must be \[N, H, W, C\] with C = 8 .* but is \[2, 5, 6\]"),
        ("X", (2, 5, 6, 7), r"X must be \[N, H, W, C\] with C = 8 .* but is \[2, 5, 6, 7\]"),
        ("X", (2, 0, 6, 8), "H and W of X must be at least 1"),
        ("X", (0, 5, 0, 8), "H and W of X must be at least 1"),
        ("W", (4, 3, 3), r"W must be \[O, KH, KW, ceil\(C / groups / 8\)\] .* but is \[4, 3, 3\]"),
        ("W", (4, 3, 3, 2), r"with a last dimension of 1, but is \[4, 3, 3, 2\]"),
        ("W", (4, 0, 3, 1), "O, KH and KW of W must be at least 1"),
        ("W", (0, 3, 3, 1), "O, KH and KW of W must be at least 1"),
        ("W", (4, 9, 3, 1), "a kernel of 9 taps dilated by 1 exceeds the padded map of 5"),
        ("scale", (5,), r"scale must be \[O\] = \[4\], but is \[5\]"),
        ("scale", (4, 1), r"scale must be \[O\] = \[4\], but is \[4, 1\]"),
        ("bias", (), r"bias must be \[O\] = \[4\], but is \[\]"),
        ("R", (2, 5, 6, 5), r"R must be \[N, OH, OW, O\] = \[2, 5, 6, 4\], but is \[2, 5, 6, 5\]"),
        ("R", (2, 5, 6), r"R must be \[N, OH, OW, O\]"),
        ("R", (0,), r"R must be \[N, OH, OW, O\]"),
    ],
)
@pytest.mark.parametrize("constants", [("W", "scale", "bias"), ()])
def test_a_wrong_shape_is_refused(
    name: str, shape: tuple[int, ...], sentence: str, constants: tuple[str, ...]
) -> None:
    values = tensors()
    values[name] = np.zeros(shape, np.uint8 if name == "W" else np.float32)
    with pytest.raises(Exception, match=f"BinaryConv2d: .*{sentence}"):
        run_node(values, constants=constants)


@pytest.mark.parametrize("name", ["X", "W", "scale", "bias", "R"])
def test_a_wrong_type_is_refused(name: str) -> None:
    values = tensors() | {"R": np.zeros((1,), np.float32)}
    values[name] = values[name].astype(np.int8 if name == "W" else np.float64)
    # ONNX Runtime compares the types with those that the library declares, so the words are its own.
    with pytest.raises(Exception, match=r"Type Error|INVALID_GRAPH|No Op registered|type"):
        run_node(values)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_a_missing_attribute_is_refused(name: str) -> None:
    attributes = {key: value for key, value in ATTRIBUTES.items() if key != name}
    with pytest.raises(Exception, match=f"BinaryConv2d: attribute '{name}' must be written on the node"):
        run_node(tensors(), attributes)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("channels", 0, "must hold integers from 1"),
        ("channels", 2**40, "must hold integers from 1"),
        ("channels", "8", "must be written on the node as an integer"),
        ("groups", 0, "must hold integers from 1"),
        ("groups", 3, r"\(3\) must divide 'channels' \(8\)"),
        ("groups", 8, "must divide the 4 output channels"),
        ("strides", [1], "must hold 2 integers, but holds 1"),
        ("strides", [1, 1, 1], "must hold 2 integers, but holds 3"),
        ("strides", [0, 1], "must hold integers from 1"),
        ("strides", [-(2**63), 1], "must hold integers from 1"),
        ("strides", 1, "must hold 2 integers, but holds 0"),
        ("dilations", [1, 0], "must hold integers from 1"),
        ("dilations", [2**31 - 1, 1], "exceeds the padded map"),
        ("pads", [1, 1], "must hold 4 integers, but holds 2"),
        ("pads", [0, -1, 0, 0], "must hold integers from 0"),
        ("pads", [2**63 - 1, 0, 0, 0], "must hold integers from 0"),
        ("pads", [2**31 - 1] * 4, "too large"),
        ("threshold", "median", "must be one of sample_mean, zero, but is 'median'"),
        ("threshold", "", "must be one of sample_mean, zero, but is ''"),
        ("activation", "gelu", "must be one of none, hardtanh, relu, but is 'gelu'"),
        ("activation", "relu\0", "must be one of"),
        ("activation", 1, "must be written on the node as a string"),
    ],
)
def test_a_wrong_attribute_is_refused(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(Exception, match=f"BinaryConv2d: .*{sentence}"):
        run_node(tensors(), ATTRIBUTES | {name: value})


@pytest.mark.parametrize(
    "field", [f for f in BinaryConv2dAttributes.fields() if f.kind != "STRING"], ids=lambda f: f.name
)
@pytest.mark.parametrize("above", [False, True])
def test_bounds_are_those_of_python(field: Field, above: bool) -> None:
    outside = LARGEST + 1 if above else field.least - 1
    value = outside if field.kind == "INT" else [outside] * field.count
    sentence = f"{field.name}.* integers? from {field.least} to {LARGEST}"
    with pytest.raises(Exception, match=f"BinaryConv2d: .*{sentence}"):
        run_node(tensors(), ATTRIBUTES | {field.name: value})
    with pytest.raises(ValueError, match=sentence):
        BinaryConv2dAttributes.from_mapping(ATTRIBUTES | {field.name: value})


def test_more_products_than_float32_counts_are_refused() -> None:
    values = tensors() | {"W": np.zeros((1, 1, 1, 2**21), np.uint8)}
    with pytest.raises(Exception, match=r"must be below 2\^24"):
        run_node(values, ATTRIBUTES | {"channels": 2**24})


def test_weights_of_the_wrong_size_are_refused_at_load() -> None:
    # With the right number of bytes, so that only a check of the shape finds it.
    values = tensors() | {"W": np.zeros((4, 3, 1, 3), np.uint8)}
    with pytest.raises(Exception, match=r"with a last dimension of 1, but is \[4, 3, 1, 3\]"):
        run_node(values)


def test_no_samples_give_no_samples(kernel: str) -> None:
    values = tensors() | {"X": np.zeros((0, 5, 6, 8), np.float32)}
    assert run_node(values).shape == (0, 5, 6, 4)
    assert run_node(values | {"R": np.zeros((0, 5, 6, 4), np.float32)}).shape == (0, 5, 6, 4)


def test_threads_change_no_bit(kernel: str) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((3, 33, 31, 8), dtype=np.float32)
    values = tensors(outputs=70) | {"X": X, "R": rng.standard_normal((3, 33, 31, 70), dtype=np.float32)}
    one, two = run_node(values, threads=1), run_node(values, threads=2)
    assert one.tobytes() == two.tobytes() == expected(values).tobytes()


@pytest.mark.parametrize("constants", [("W", "scale", "bias"), ("W",), ("scale", "bias"), ()])
def test_tensors_need_not_be_constant(constants: tuple[str, ...], kernel: str) -> None:
    values = tensors() | {"R": np.float32([[0.5]])}
    assert run_node(values, constants=constants).tobytes() == expected(values).tobytes()


def test_an_output_in_the_memory_of_its_residual(kernel: str) -> None:
    # The residual is an intermediate value that nothing else reads, so ONNX Runtime lends its memory to Y.
    values = tensors()
    shape = (2, 5, 6, 4)
    doubled = np.random.default_rng(4).standard_normal(shape, dtype=np.float32)
    nodes = [
        helper.make_node("Add", ["half", "half"], ["R"]),
        helper.make_node(BINARY_CONV2D, [*values, "R"], ["Y"], domain=DOMAIN, **ATTRIBUTES),
        helper.make_node("Neg", ["Y"], ["negative"]),
    ]
    inputs = [
        helper.make_tensor_value_info("X", TensorProto.FLOAT, values["X"].shape),
        helper.make_tensor_value_info("half", TensorProto.FLOAT, shape),
    ]
    outputs = [helper.make_tensor_value_info("negative", TensorProto.FLOAT, shape)]
    initializers = [numpy_helper.from_array(values[name], name) for name in ("W", "scale", "bias")]
    graph = helper.make_graph(nodes, "residual", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    session = create_session(model, library=True, threads=1)
    (y,) = session.run(None, {"X": values["X"], "half": doubled / 2})
    assert (-y).tobytes() == expected(values | {"R": doubled}).tobytes()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([2, 5, 6, 8], [2, 5, 6, 4]),
        (["n", 5, 6, 8], ["n", 5, 6, 4]),
        (["n", "h", 6, 8], ["n", str, 6, 4]),
        ([None, None, None, 8], [str, str, str, 4]),
        (None, []),
    ],
)
def test_the_output_shape_is_inferred(x: list | None, y: list) -> None:
    values = tensors()
    node = helper.make_node(BINARY_CONV2D, list(values), ["Y"], domain=DOMAIN, **ATTRIBUTES)
    initializers = [numpy_helper.from_array(values[name], name) for name in ("W", "scale", "bias")]
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
    # Two dimensions that nobody knows must not be taken for the same size.
    names = [dim for dim in shape if isinstance(dim, str)]
    assert len(set(names)) == len(names)


def test_bits_behind_the_last_channel_do_not_count(kernel: str) -> None:
    attributes = ATTRIBUTES | {"channels": 5}
    values = tensors()
    values["X"] = values["X"][..., :5].copy()
    clean = values | {"W": values["W"] & 0b11111}
    assert (values["W"] != clean["W"]).any()
    assert run_node(values, attributes).tobytes() == run_node(clean, attributes).tobytes()


def test_damaged_nodes_end_in_an_error_or_a_result() -> None:
    """Random shapes and attributes: whatever a file holds, the process survives it."""
    rng = np.random.default_rng(11)
    sizes = [0, 1, 1, 2, 3, 5, 8, 9]
    refused = []
    for _ in range(300):
        values = tensors()
        for name in rng.choice(["X", "W", "scale", "bias", "R"], rng.integers(0, 2)):
            rank = int(rng.choice([0, 1, 2, 3, 4, 4, 4, 5]))
            shape = [int(rng.choice(sizes)) for _ in range(rank)]
            values[name] = rng.integers(0, 256, shape).astype(np.uint8 if name == "W" else np.float32)
        attributes = dict(ATTRIBUTES)
        for name in rng.choice(["channels", "strides", "pads", "dilations", "groups"], rng.integers(0, 2)):
            some = [int(v) for v in rng.choice([-1, 0, 1, 2, 3, 8, 9, 2**31, 2**62], rng.integers(1, 6))]
            attributes[name] = some[0] if name in ("channels", "groups") else some
        try:
            y = run_node(values, attributes, constants=() if rng.random() < 0.5 else ("W", "scale", "bias"))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            refused.append(type(error).__module__)
        else:
            assert y.dtype == np.float32
            assert y.ndim == 4
            assert y.shape[0] == len(values["X"])
    assert 100 < len(refused) < 250
    assert {module.partition(".")[0] for module in refused} == {"onnxruntime"}
