"""GeneralBinaryConv2d: what the library, the NumPy backend and the check of files refuse alike."""

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from support.nodes import operator_model_of, run_operator, tensors
from support.oracle import general_binary_conv2d as oracle
from support.oracle import same_bits

from rbnn_deploy.model_files.binary_layers import check_binary_layers
from rbnn_deploy.operators import GENERAL_BINARY_CONV2D, GeneralBinaryConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend.general_binary_conv2d import general_binary_conv2d
from rbnn_deploy.runtimes.onnx_runtime import create_session

ATTRIBUTES: dict[str, Any] = GeneralBinaryConv2dAttributes(
    channels=8, pads=(1, 1, 1, 1), threshold="per_channel", activation="prelu"
).to_dict()
EXTRAS = ("R", "T", "window_sum", "neg", "pos", "post", "border")
Values = dict[str, np.ndarray | None]


def arrays(**changed: np.ndarray | None) -> Values:
    """Draws inputs that fit ATTRIBUTES: C = 8, O = 4."""
    rng = np.random.default_rng(1)
    values: Values = {**tensors(), **dict.fromkeys(EXTRAS)}
    values["T"] = rng.standard_normal(8, dtype=np.float32)
    values["neg"] = rng.standard_normal(4, dtype=np.float32)
    return values | changed


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("values", "attributes", "sentence"),
    [
        ({"T": None}, {}, "T is missing, which the attributes need"),
        ({"neg": None}, {}, "neg is missing, which the attributes need"),
        ({"T": zeros(4)}, {}, r"T must .*\[8\].*\[4\]"),
        ({"T": zeros(0)}, {}, r"T must .*\[8\].*\[0\]"),
        ({"T": zeros(1, 8)}, {}, r"T must .*\[8\].*\[1, 8\]"),
        ({}, {"threshold": "zero"}, r"T must .*one element.*\[8\]"),
        ({"window_sum": zeros(8)}, {}, r"window_sum must .*\[4\].*\[8\]"),
        ({"neg": zeros(5)}, {}, r"neg must .*\[4\].*\[5\]"),
        ({"pos": zeros(5)}, {}, r"pos must .*\[4\].*\[5\]"),
        ({"post": zeros(2, 2)}, {}, r"post must .*\[4\].*\[2, 2\]"),
        ({"border": zeros(4)}, {}, r"border must .*\[3, 3, 4\].*\[4\]"),
        ({"border": zeros(3, 3, 8)}, {}, r"border must .*\[3, 3, 4\].*\[3, 3, 8\]"),
        ({}, {"activation": "relu"}, r"neg must .*one element.*\[4\]"),
        ({}, {"pad_value": 2}, "pad_value.* from -1 to 1"),
        ({}, {"pad_value": -2}, "pad_value.* from -1 to 1"),
        ({}, {"residual": "somewhere"}, "must be one of before_activation, after_activation"),
        ({}, {"activation": "gelu"}, "must be one of none, hardtanh, relu, prelu"),
    ],
)
def test_a_wrong_input_is_refused(values: Values, attributes: dict[str, Any], sentence: str) -> None:
    given, attributes = arrays(**values), ATTRIBUTES | attributes
    with pytest.raises(Exception, match=f"GeneralBinaryConv2d: .*{sentence}"):
        run_operator(GENERAL_BINARY_CONV2D, given, attributes)
    with pytest.raises(ValueError, match=sentence):
        general_binary_conv2d(**given, attributes=GeneralBinaryConv2dAttributes.from_mapping(attributes))
    graph = operator_model_of(GENERAL_BINARY_CONV2D, given, attributes).graph
    for value in [value for value in graph.input if value.name != "X"]:
        graph.initializer.append(numpy_helper.from_array(given[value.name], value.name))
    with pytest.raises(Exception, match=f"GeneralBinaryConv2d: .*{sentence}"):
        check_binary_layers(graph)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_a_missing_attribute_is_refused(name: str) -> None:
    attributes = {key: value for key, value in ATTRIBUTES.items() if key != name}
    with pytest.raises(Exception, match=f"attribute '{name}' must be written on the node"):
        run_operator(GENERAL_BINARY_CONV2D, arrays(), attributes)


def test_basic_operator_refuses_what_only_the_general_one_has() -> None:
    basic = {name: value for name, value in ATTRIBUTES.items() if name not in ("residual", "pad_value")}
    with pytest.raises(Exception, match="must be one of sample_mean, zero, but is 'per_channel'"):
        run_operator("BinaryConv2d", dict(tensors()), basic | {"activation": "none"})
    with pytest.raises(Exception, match="must be one of none, hardtanh, relu, but is 'prelu'"):
        run_operator("BinaryConv2d", dict(tensors()), basic | {"threshold": "zero"})


def test_no_samples_give_no_samples(kernel: str) -> None:
    assert run_operator(GENERAL_BINARY_CONV2D, arrays(X=zeros(0, 5, 6, 8)), ATTRIBUTES).shape == (0, 5, 6, 4)


@pytest.mark.parametrize("place", ["before_activation", "after_activation"])
def test_a_residual_that_nothing_else_reads(kernel: str, place: str) -> None:
    # Y must not take its memory: a residual behind the activation is read after Y was written.
    rng = np.random.default_rng(2)
    values = arrays(R=rng.standard_normal((2, 5, 6, 4), dtype=np.float32))
    attributes = ATTRIBUTES | {"residual": place}
    model = operator_model_of(GENERAL_BINARY_CONV2D, values, attributes)
    for value in model.graph.input:
        if value.name == "R":
            value.name = "half"
    model.graph.node.insert(0, helper.make_node("Add", ["half", "half"], ["R"]))
    model.graph.node.append(helper.make_node("Neg", ["Y"], ["negative"]))
    model.graph.output[0].name = "negative"
    session = create_session(model.SerializeToString(), library=True, threads=1)
    feeds = {name: value for name, value in values.items() if value is not None and name not in ("W", "R")}
    (y,) = session.run(None, feeds | {"half": values["R"] / 2})
    assert same_bits(-y, oracle(**values, **attributes))


def test_damaged_nodes_end_in_an_error_or_a_result() -> None:
    """Random shapes of all optional inputs: whatever a file holds, the process survives it."""
    rng, refused = np.random.default_rng(12), []
    for _ in range(300):
        values = arrays()
        for name in rng.choice(EXTRAS, rng.integers(1, 3)):
            shape = [int(size) for size in rng.choice([0, 1, 1, 4, 4, 8, 9], rng.integers(0, 3))]
            values[name] = None if rng.random() < 0.2 else rng.standard_normal(shape).astype(np.float32)
        attributes = ATTRIBUTES | {
            "threshold": str(rng.choice(["zero", "per_channel", "sample_mean"])),
            "activation": str(rng.choice(["none", "prelu", "relu"])),
            "pad_value": int(rng.integers(-1, 2)),
        }
        try:
            y = run_operator(GENERAL_BINARY_CONV2D, values, attributes)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            refused.append(str(error))
        else:
            assert same_bits(y, oracle(**values, **attributes))
    assert 100 < len(refused) < 290
    assert all("GeneralBinaryConv2d" in sentence for sentence in refused)
