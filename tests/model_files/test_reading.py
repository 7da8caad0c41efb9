"""Models that no native code may see: each is refused in one sentence, by every reader alike."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.small_models import LAYERS, images, small_model

from rbnn_deploy.comparing import compare
from rbnn_deploy.errors import UserError
from rbnn_deploy.inspecting import inspect_onnx
from rbnn_deploy.model_files import read_model
from rbnn_deploy.operators import BINARY_CONV2D, DOMAIN
from rbnn_deploy.runtimes import RUNTIMES, load_model

Damage = Callable[[onnx.ModelProto], object]


def layer(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == LAYERS[0])


def without(name: str) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        node = layer(model)
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend(kept)

    return damage


def undeclared(name: str) -> Damage:
    return lambda model: model.functions[0].attribute.remove(name)


def nested(count: int) -> Damage:
    """Functions of which each calls the next twice."""

    def damage(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid("own", 1))
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        for i in range(count):
            kind, domain = (f"f{i + 1}", "own") if i + 1 < count else ("Identity", "")
            body = [helper.make_node(kind, [a], [b], domain=domain) for a, b in (("x", "y"), ("y", "z"))]
            model.functions.append(helper.make_function("own", f"f{i}", ["x"], ["z"], body, opsets))
        model.graph.node[-1].output[0] = "before"
        model.graph.node.append(helper.make_node("f0", ["before"], ["logits"], domain="own"))

    return damage


def endless(model: onnx.ModelProto) -> None:
    model.functions[0].opset_import.append(helper.make_opsetid(DOMAIN, 1))
    model.functions[0].node[-1].CopyFrom(
        helper.make_node(BINARY_CONV2D, list(model.functions[0].input), ["Y"], domain=DOMAIN)
    )


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def too_large(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims[:] = [2**40, 3, 3, 3]


def no_step(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("strides", [0, 0]))


def empty_residual(model: onnx.ModelProto) -> None:
    del model.functions[:]
    layer(model).input[4] = ""


CASES: dict[str, tuple[Damage, str]] = {
    "threshold": (without("threshold"), "attribute threshold is missing"),
    "activation": (without("activation"), "attribute activation is missing"),
    "empty name": (empty_residual, "R has an empty name; leave it out"),
    "undeclared threshold": (undeclared("threshold"), "refers to 'threshold', which is none"),
    "undeclared activation": (undeclared("activation"), "refers to 'activation', which is none"),
    "deep functions": (nested(40), "more than 16 deep"),
    "wide functions": (lambda m: [m.graph.node.extend([m.graph.node[3]] * 5000)], "no name, or one that"),
    "endless function": (endless, "calls itself"),
    "external data": (external, "lies in another file"),
    "size without data": (too_large, "holds 2160 bytes"),
    "stride 0": (no_step, "attribute strides is out of range"),
    "IR version": (
        lambda m: setattr(m, "ir_version", 99),
        "its IR version 99 is newer than",
    ),
    "opset": (lambda m: setattr(m.opset_import[0], "version", 999), "uses version 999 of domain ''"),
    "no input": (lambda m: m.graph.node[2].ClearField("input"), "has 0 inputs"),
    "unknown operator": (
        lambda m: setattr(m.graph.node[0], "op_type", "Convolve"),
        "does not exist in version",
    ),
    "unknown of ours": (lambda m: setattr(layer(m), "op_type", "BinaryConv9d"), "unknown to this version"),
    "order": (lambda m: m.graph.node.reverse(), "is computed nowhere before it"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_reader_refuses_it_alike(case: str, tmp_path: Path) -> None:
    damage, message = CASES[case]
    model = small_model()
    damage(model)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    readers: list[Callable[[], object]] = [
        lambda: inspect_onnx(path),
        lambda: compare(path, None, images(1)),
        *(lambda name=name: load_model(path, name) for name in RUNTIMES),
    ]
    said = set()
    for reader in readers:
        with pytest.raises(UserError) as caught:
            reader()
        said.add(str(caught.value))
    (sentence,) = said
    assert message in sentence
    assert str(path) in sentence
    assert "\n" not in sentence


def test_functions_that_double_are_counted_not_walked(tmp_path: Path) -> None:
    for depth, refused in ((10, False), (15, False), (16, True)):
        model = small_model()
        nested(depth)(model)
        model.graph.node.extend(
            helper.make_node("f0", ["before"], [f"more{i}"], domain="own") for i in range(16)
        )
        path = tmp_path / f"{depth}.onnx"
        path.write_bytes(model.SerializeToString())
        too_many = refused or depth == 15  # 17 calls of 2^15 nodes
        if too_many:
            with pytest.raises(UserError, match="more than 100000 nodes"):
                read_model(path)
        else:
            assert read_model(path).model.graph.node[-1].op_type == "f0"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    content = small_model().SerializeToString().replace(b"stage.conv2", b"stage.\xff\xfe\xff\xfe\xff")
    path = tmp_path / "names.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match="names that are no text"):
        read_model(path)


def test_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[0].name = "\x1b[2J\u202estem\n"
    model.graph.node[0].input[0] = "nothing"
    path = tmp_path / "names.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError) as caught:
        read_model(path)
    assert str(caught.value).isprintable()


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    import os  # noqa: PLC0415 - for this test alone

    path = tmp_path / "pipe.onnx"
    os.mkfifo(path)
    with pytest.raises(UserError, match="no regular file"):
        read_model(path)


@pytest.mark.parametrize("runtime", RUNTIMES[::2])
def test_padding_out_of_proportion_is_refused(runtime: str, tmp_path: Path) -> None:
    model = small_model()
    (pads,) = [a for a in layer(model).attribute if a.name == "pads"]
    pads.ints[:] = [10_000] * 4
    path = tmp_path / "padded.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="map"):
        load_model(path, runtime).run(images(1))


def test_stored_tensors_of_each_form_are_taken(tmp_path: Path) -> None:
    model = small_model()
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:  # as older tools write them
            tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, array.ravel()))
    path = tmp_path / "typed.onnx"
    path.write_bytes(model.SerializeToString())
    assert np.array_equal(load_model(path).run(images(2)), load_model(_plain(tmp_path)).run(images(2)))


def _plain(folder: Path) -> Path:
    path = folder / "plain.onnx"
    path.write_bytes(small_model().SerializeToString())
    return path
