"""The operators of bits: what the library, the NumPy backend and the check of files refuse alike."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.nodes import operator_model_of, run_operator

from rbnn_deploy.model_files.binary_layers import check_binary_layers
from rbnn_deploy.operators import (
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    UNPACK_SIGNS,
    PackedBinaryConv2dAttributes,
    UnpackSignsAttributes,
)
from rbnn_deploy.runtimes.numpy_backend.packed_binary_conv2d import (
    pack_signs_of_map,
    packed_binary_conv2d,
    unpack_signs_of_map,
)
from rbnn_deploy.runtimes.onnx_runtime import create_session

ATTRIBUTES: dict[str, Any] = PackedBinaryConv2dAttributes(
    channels=12, pads=(1, 1, 1, 1), pool=(2, 2)
).to_dict()
Values = dict[str, np.ndarray]


def arrays(**changed: np.ndarray) -> Values:
    """Draws inputs that fit ATTRIBUTES: C = 12, O = 10, a map of 5 x 6."""
    rng = np.random.default_rng(1)
    values: Values = {
        "X": rng.integers(0, 256, (2, 5, 6, 2), dtype=np.uint8),
        "W": rng.integers(0, 256, (10, 3, 3, 2), dtype=np.uint8),
        "T": rng.integers(-9, 9, 10, dtype=np.int32),
    }
    return values | changed


def zeros(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("values", "attributes", "sentence"),
    [
        ({"X": zeros(2, 5, 6, 1)}, {}, r"X must .*\b2\b.*\[2, 5, 6, 1\]"),
        ({"X": zeros(5, 6, 2)}, {}, r"X must .*\[5, 6, 2\]"),
        ({"X": zeros(2, 1, 1, 2)}, {}, "pool of .* exceeds the output map"),
        ({}, {"pool": [6, 2]}, "pool of .* exceeds the output map"),
    ],
)
def test_a_wrong_map_is_refused(values: Values, attributes: dict[str, Any], sentence: str) -> None:
    given, attributes = arrays(**values), ATTRIBUTES | attributes
    with pytest.raises(Exception, match=f"PackedBinaryConv2d: .*{sentence}"):
        run_operator(PACKED_BINARY_CONV2D, given, attributes)
    with pytest.raises(ValueError, match=sentence):
        packed_binary_conv2d(**given, attributes=PackedBinaryConv2dAttributes.from_mapping(attributes))


@pytest.mark.parametrize(
    ("values", "attributes", "sentence"),
    [
        ({"T": zeros(12, dtype=np.int32)}, {}, r"T must .*\[10\].*\[12\]"),
        ({"T": zeros(1, dtype=np.int32)}, {}, r"T must .*\[10\].*\[1\]"),
        ({"W": zeros(10, 3, 3, 1)}, {}, r"W must .*\b2\b.*\[10, 3, 3, 1\]"),
        ({}, {"channels": 12, "groups": 5}, "groups.* must divide"),
        ({}, {"pool": [0, 2]}, "pool.* from 1 "),
        ({}, {"pad_value": 2}, "pad_value.* from -1 to 1"),
    ],
)
def test_a_wrong_node_is_refused(values: Values, attributes: dict[str, Any], sentence: str) -> None:
    given, attributes = arrays(**values), ATTRIBUTES | attributes
    with pytest.raises(Exception, match=f"PackedBinaryConv2d: .*{sentence}"):
        run_operator(PACKED_BINARY_CONV2D, given, attributes)
    with pytest.raises(ValueError, match=sentence):
        packed_binary_conv2d(**given, attributes=PackedBinaryConv2dAttributes.from_mapping(attributes))
    graph = operator_model_of(PACKED_BINARY_CONV2D, given, attributes).graph
    graph.initializer.append(numpy_helper.from_array(given["T"], "T"))
    with pytest.raises(Exception, match=f"PackedBinaryConv2d: .*{sentence}"):
        check_binary_layers(graph)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_a_missing_attribute_is_refused(name: str) -> None:
    attributes = {key: value for key, value in ATTRIBUTES.items() if key != name}
    with pytest.raises(Exception, match=f"attribute '{name}' must be written on the node"):
        run_operator(PACKED_BINARY_CONV2D, arrays(), attributes)


def test_signs_refuse_what_does_not_fit() -> None:
    floats = zeros(2, 3, 4, 12, dtype=np.float32)
    for X, T, sentence in (
        (floats, zeros(3, dtype=np.float32), r"T must .*\[12\].*\[3\]"),
        (floats, zeros(0, dtype=np.float32), r"T must .*\[12\].*\[0\]"),
        (floats[0], zeros(1, dtype=np.float32), r"X must .*\[3, 4, 12\]"),
        (floats[:, :, :0], zeros(1, dtype=np.float32), r"X must .*\[2, 3, 0, 12\]"),
    ):
        with pytest.raises(Exception, match=f"PackSigns: .*{sentence}"):
            run_operator(PACK_SIGNS, {"X": X, "T": T}, {})
        with pytest.raises(ValueError, match=f"PackSigns: .*{sentence}"):
            pack_signs_of_map(X, T)
    for X in (zeros(2, 3, 4, 1), zeros(3, 4, 2), zeros(2, 0, 4, 2)):
        with pytest.raises(Exception, match=r"UnpackSigns: .*X must"):
            run_operator(UNPACK_SIGNS, {"X": X}, {"channels": 12})
        with pytest.raises(ValueError, match=r"UnpackSigns: .*X must"):
            unpack_signs_of_map(X, 12)
    with pytest.raises(Exception, match=r"UnpackSigns: .*'channels'"):
        run_operator(UNPACK_SIGNS, {"X": zeros(2, 3, 4, 2)}, {"channels": 0})
    with pytest.raises(ValueError, match="channels"):
        UnpackSignsAttributes(0)


def test_shapes_and_types_are_known_before_a_run() -> None:
    values = arrays()
    model = operator_model_of(PACKED_BINARY_CONV2D, values, ATTRIBUTES)
    (conv,) = model.graph.node
    pack = helper.make_node(PACK_SIGNS, ["floats", "limit"], ["X"], domain=conv.domain)
    unpack = helper.make_node(UNPACK_SIGNS, ["Y"], ["signs"], domain=conv.domain, channels=10)
    graph = helper.make_graph(
        [pack, conv, unpack],
        "chain",
        [helper.make_tensor_value_info("floats", TensorProto.FLOAT, ["N", 5, 6, 12])],
        [helper.make_tensor_value_info("signs", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in values.items() if name != "X"]
        + [numpy_helper.from_array(np.zeros(12, np.float32), "limit")],
    )
    del model.graph.node[:]
    model.graph.CopyFrom(graph)
    session = create_session(model.SerializeToString(), library=True, threads=1)
    (output,) = session.get_outputs()
    assert (output.type, output.shape) == ("tensor(float)", ["N", 2, 3, 10])
    (signs,) = session.run(None, {"floats": np.ones((0, 5, 6, 12), np.float32)})
    assert signs.shape == (0, 2, 3, 10)
    floats = np.random.default_rng(2).standard_normal((3, 5, 6, 12), dtype=np.float32)
    (signs,) = session.run(None, {"floats": floats})
    bits = packed_binary_conv2d(
        pack_signs_of_map(floats, np.zeros(1, np.float32)),
        values["W"],
        values["T"],
        attributes=PackedBinaryConv2dAttributes.from_mapping(ATTRIBUTES),
    )
    assert (signs == unpack_signs_of_map(bits, 10)).all()


def test_damaged_nodes_end_in_an_error_or_a_result() -> None:
    """Random shapes and attributes: whatever a file holds, the process survives it."""
    rng, refused = np.random.default_rng(12), []
    for _ in range(300):
        values, attributes = arrays(), dict(ATTRIBUTES)
        name = str(rng.choice(["X", "W", "T"]))
        shape = list(values[name].shape)
        shape[rng.integers(len(shape))] = int(rng.choice([0, 1, 2, 9, 10, 16]))
        values[name] = rng.integers(0, 256, shape).astype(values[name].dtype)
        attributes |= {"pool": [int(size) for size in rng.choice([1, 2, 3, 7, 2**31 - 1], 2)]}
        attributes |= {
            "pads": [int(size) for size in rng.choice([0, 1, 5, 2**31 - 1], 4, p=[0.4, 0.4, 0.15, 0.05])]
        }
        try:
            y = run_operator(PACKED_BINARY_CONV2D, values, attributes)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            refused.append(str(error))
        else:
            checked = PackedBinaryConv2dAttributes.from_mapping(attributes)
            assert (y == packed_binary_conv2d(**values, attributes=checked)).all()
    assert 100 < len(refused) < 290
    assert all("PackedBinaryConv2d" in sentence for sentence in refused)
