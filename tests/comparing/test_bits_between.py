"""Comparisons of models whose layers pass bits on: of such a layer the signs alone are known."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from support.bits_networks import NETWORKS, PACKED, SIZE, build_bits, network

from rbnn_deploy.comparing.binary_layers import binary_layers
from rbnn_deploy.comparing.compare import compare
from rbnn_deploy.comparing.explaining import explain
from rbnn_deploy.comparing.replaying import NumpyJudge, problem
from rbnn_deploy.comparing.subjects import RuntimeSubject
from rbnn_deploy.comparing.traces import Binarised, Replay, Trace
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import OPPOSITE_CHANNELS, read_channels, write_channels
from rbnn_deploy.runtimes import load_model

OPPOSITE = "a pool and a norm"  # with gammas of both signs behind the pool


def model_of(name: str, path: Path) -> tuple[torch.nn.Module, onnx.ModelProto]:
    torch.manual_seed(len(name))
    module = network(NETWORKS[name]())
    model = build_bits(module).model
    onnx.save(model, path)
    return module, model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((count, 3, SIZE, SIZE), np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_has_torchs_signs(name: str, tmp_path: Path) -> None:
    module, _ = model_of(name, tmp_path / "model.onnx")
    report = compare(tmp_path / "model.onnx", module, images(8), layers=True)
    assert report.ok
    assert report.layers is not None
    assert len(report.layers) == PACKED[name] + 1
    pairs = [(pair.left, pair.right) for pair in report.pairs]
    for layer in report.layers:
        assert layer.identical
        assert layer.flipped[pairs.index(("ort", "numpy"))] == 0
        assert all(count is not None and count <= layer.bits / 1000 for count in layer.flipped)


def test_channels_of_opposite_bits_are_named_in_the_file(tmp_path: Path) -> None:
    module, model = model_of(OPPOSITE, tmp_path / "model.onnx")
    (packed,) = [node for node in model.graph.node if node.op_type == "PackedBinaryConv2d"]
    (entry,) = [entry for entry in packed.metadata_props if entry.key == OPPOSITE_CHANNELS]
    assert 0 < len(read_channels(entry.value, 24)) < 24
    entry.value = ""
    onnx.save(model, tmp_path / "model.onnx")
    report = compare(tmp_path / "model.onnx", module, images(8), layers=True)
    assert report.ok  # the outputs are the same
    assert report.layers is not None
    (count, *_) = report.layers[-1].flipped
    assert count is not None
    assert count > report.layers[-1].bits / 4


@pytest.mark.parametrize("text", ["24", "-1", "3,", "x", " 3", "+3", "1_0", None])
def test_a_property_that_is_damaged_or_lost_is_refused(text: str | None, tmp_path: Path) -> None:
    _, model = model_of(OPPOSITE, tmp_path / "model.onnx")
    (packed,) = [node for node in model.graph.node if node.op_type == "PackedBinaryConv2d"]
    (entry,) = packed.metadata_props
    if text is None:
        del packed.metadata_props[:]
    else:
        entry.value = text
    with pytest.raises(UserError, match=f"{OPPOSITE_CHANNELS}.*; export the model again") as info:
        binary_layers(model, tmp_path / "model.onnx")
    assert packed.name in str(info.value)


def test_channels_as_text() -> None:
    assert read_channels(write_channels([0, 5, 23]), 24) == (0, 5, 23)
    assert read_channels(write_channels([]), 24) == ()


@pytest.mark.parametrize("name", [OPPOSITE, "three in a row", "groups and a pool"])
def test_a_layer_that_counts_otherwise_is_no_rounding(name: str, tmp_path: Path) -> None:
    module, model = model_of(name, tmp_path / "model.onnx")
    packed = next(node for node in model.graph.node if node.op_type == "PackedBinaryConv2d")
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == packed.input[2]]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.int32(2), tensor.name))
    onnx.save(model, tmp_path / "model.onnx")
    report = compare(tmp_path / "model.onnx", module, images(8), runtimes=("torch", "ort"))
    (pair,) = report.pairs
    assert pair.unexplained > 0
    assert not report.ok


@pytest.mark.parametrize("name", [OPPOSITE, "three in a row", "thresholds per channel"])
def test_shifted_values_are_restored_to_the_same_bits(name: str, tmp_path: Path) -> None:
    _, model = model_of(name, tmp_path / "model.onnx")
    layers = binary_layers(model, tmp_path / "model.onnx")
    assert [layer.signs_only for layer in layers] == [False] + [True] * PACKED[name]
    for layer in layers:
        x = np.random.default_rng(6).standard_normal((2, 5, 4, layer.attributes.channels), np.float32)
        node_x = layer.restored(x)
        assert node_x.dtype == (np.uint8 if layer.takes_bits else np.float32)
        if layer.signs_only:
            packed = node_x if layer.takes_bits else np.packbits(node_x > 0, axis=-1, bitorder="little")
            assert np.array_equal(layer.shifted(packed) >= 0, x >= 0)


def test_a_judge_repeats_the_packed_layers(tmp_path: Path) -> None:
    """NumPy, fed with another record, goes on from that record's bits."""
    _, model = model_of("three in a row", tmp_path / "model.onnx")
    layers = binary_layers(model, tmp_path / "model.onnx")
    judge = NumpyJudge(model, layers)
    x, names = images(2), [layer.name for layer in layers]
    runtime = RuntimeSubject(load_model(tmp_path / "model.onnx", "numpy"), layers)
    record = runtime.trace({"input": x})
    tolerances = dict.fromkeys(record.outputs, 0.0)
    assert problem(judge.replay({"input": x}, record), record, names, 0, tolerances) == ""
    record.inputs[names[1]].x[0, 2, 2, :5] *= -1
    found = problem(judge.replay({"input": x}, record), record, names, 0, tolerances)
    assert f"in front of layer {names[1]}" in found
    assert problem(judge.replay({"input": x}, record), record, names, 1, tolerances) == ""


def trace(x: list[float], *, signs_only: bool) -> Trace:
    values = np.float32(x).reshape(1, 1, 1, -1)
    return Trace(
        {"logits": np.zeros((1, 1), np.float32)}, {"layer": Binarised(values, np.zeros(1), signs_only)}, {}
    )


@pytest.mark.parametrize(
    ("floats", "explains"), [([1, -1, -1e-6], True), ([1, -1, -1e-4], False), ([-1, -1, -1e-6], False)]
)
def test_the_side_with_floats_explains(floats: list[float], explains: bool) -> None:
    left, right = trace(floats, signs_only=False), trace([1, -1, 1], signs_only=True)
    assert explain(left, right, ["layer"], 0).explains is explains
    assert explain(right, left, ["layer"], 0).explains is explains


def test_bits_of_whole_numbers_must_be_the_same() -> None:
    left, right = trace([1, -1, -1], signs_only=True), trace([1, -1, 1], signs_only=True)
    assert not explain(left, right, ["layer"], 0).explains


@pytest.mark.parametrize(
    ("own", "near"), [([2, -2, -1e-6], True), ([2, -2, -1e-3], False), ([2, -2, 3], True)]
)
def test_a_judge_with_floats_checks_a_record_of_signs(own: list[float], near: bool) -> None:
    record = trace([1, -1, 1], signs_only=True)
    values = {"layer": np.float32(own).reshape(1, 1, 1, -1)}
    found = problem(Replay(record.outputs, values), record, ["layer"], 0, {})
    assert (found == "") is near
