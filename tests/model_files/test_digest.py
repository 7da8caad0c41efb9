"""Damage to a model is noticed wherever it lies; a file that was only written anew is the same model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.small_models import images, small_model

from rbnn_deploy.errors import UserError
from rbnn_deploy.inspecting import inspect_onnx
from rbnn_deploy.metadata import PREFIX
from rbnn_deploy.model_files.digest import PROPERTY, add_digest, model_digest
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.onnx_graph import properties
from rbnn_deploy.runtimes import RUNTIMES, load_model

DAMAGED = "small.onnx is no valid model: its weights, graph or metadata are not those that were exported"


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    model = small_model()
    add_digest(model)
    path = tmp_path / "small.onnx"
    onnx.save(model, path)
    return path


def damage(path: Path, name: str, at: int = 0) -> None:
    """Changes one bit of a stored tensor."""
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    content = bytearray(path.read_bytes())
    content[content.index(tensor.raw_data) + at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["stem.weight", "stage.conv2.weight", "stage.conv3.bias", "head.weight"])
def test_a_changed_bit_of_any_weights_is_named_by_every_reader(signed: Path, name: str) -> None:
    damage(signed, name, 40)
    for runtime in RUNTIMES:
        with pytest.raises(UserError, match=DAMAGED):
            load_model(signed, runtime)
    with pytest.raises(UserError, match=DAMAGED):
        inspect_onnx(signed)


CHANGES: dict[str, Callable[[onnx.ModelProto], object]] = {
    "attribute": lambda m: m.graph.node[0].attribute[0].ints.__setitem__(3, 0),
    "threshold": lambda m: setattr(
        next(a for a in m.graph.node[2].attribute if a.name == "threshold"), "s", b"zero"
    ),
    "input": lambda m: m.graph.node[3].input.__setitem__(4, "no_residual"),
    "order": lambda m: m.graph.initializer[1].dims.reverse(),
    "function": lambda m: setattr(m.functions[0].node[0], "op_type", "Neg"),
    "own property": lambda m: onnx.helper.set_model_props(
        m, {**properties(m), f"{PREFIX}mean": "[0.5, 0.5, 0.25]"}
    ),
    "opset": lambda m: setattr(m.opset_import[0], "version", 19),
    "input shape": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 9),
}


@pytest.mark.parametrize("change", CHANGES)
def test_everything_that_changes_a_result_changes_the_digest(change: str) -> None:
    model = small_model()
    before = model_digest(model)
    CHANGES[change](model)
    assert model_digest(model) != before


def test_another_order_in_the_file_is_the_same_model() -> None:
    model = small_model()
    before = model_digest(model)
    tensors = list(model.graph.initializer)
    del model.graph.initializer[:]
    model.graph.initializer.extend(reversed(tensors))
    for node in model.graph.node:
        attributes = list(node.attribute)
        del node.attribute[:]
        node.attribute.extend(reversed(attributes))
    array = onnx.numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.extend(array.flatten().tolist())
    model.metadata_props.add(key="author", value="somebody")
    model.graph.node[0].name = "renamed"
    model.doc_string = "a comment"
    assert model_digest(onnx.load_model_from_string(model.SerializeToString())) == before


def test_a_model_that_was_written_anew_is_read(signed: Path) -> None:
    before = load_model(signed).run(images(2))
    onnx.save(onnx.load(signed), signed)
    assert np.array_equal(load_model(signed).run(images(2)), before)


def test_inspect_shows_the_digest_or_that_there_is_none(signed: Path) -> None:
    digest = properties(onnx.load(signed))[PROPERTY]
    assert inspect_onnx(signed).facts["content SHA-256"] == digest
    onnx.save(small_model(), signed)
    assert inspect_onnx(signed).facts["content SHA-256"].startswith("none in the file")
    load_model(signed)


def test_the_embedded_model_has_one() -> None:
    model = onnx.load(EMBEDDED_MODEL)
    assert properties(model)[PROPERTY] == model_digest(model)
