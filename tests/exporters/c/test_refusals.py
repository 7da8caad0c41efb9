"""What cannot become C, and folders that must not be replaced: one sentence, nothing written."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.generated_c import WARNINGS, build, compiles, needs_compiler, write_c
from support.small_models import LAYERS, small_model

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime


def refused(model: onnx.ModelProto, folder: Path, *words: str) -> None:
    with pytest.raises(UserError) as info:
        write_c(model, folder)
    message = str(info.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx"]


def test_an_operator_without_c_code_is_named_with_its_node(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[0].output[0] = "before"
    model.graph.node.insert(1, helper.make_node("Erf", ["before"], ["stem"], name="stem.gelu"))
    refused(model, tmp_path, "'stem.gelu'", "'Erf'", "no C code", "ONNX Runtime")


def test_an_operator_of_another_domain(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[0].output[0] = "before"
    model.graph.node.insert(
        1, helper.make_node("Relu", ["before"], ["stem"], name="theirs", domain="com.other")
    )
    model.opset_import.append(helper.make_opsetid("com.other", 1))
    refused(model, tmp_path, "'theirs'", "no C code")


@pytest.mark.parametrize(
    ("index", "changes", "words"),
    [
        (0, {"auto_pad": "SAME_UPPER", "pads": None}, ("'Conv 0'", "auto_pad")),
        (-1, {"alpha": 0.5}, ("Gemm", "alpha")),
    ],
)
def test_an_attribute_without_c_code(
    index: int, changes: dict[str, object], words: tuple[str, ...], tmp_path: Path
) -> None:
    model = small_model()
    node = model.graph.node[index]
    kept = [a for a in node.attribute if a.name not in changes]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(k, v) for k, v in changes.items() if v is not None)
    refused(model, tmp_path, *words)


def test_a_minimum_of_three(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[0].output[0] = "before"
    model.graph.node.insert(1, helper.make_node("Min", ["before"] * 3, ["stem"], name="least"))
    refused(model, tmp_path, "'least'", "3 inputs")


def test_a_condition_that_is_repeated(tmp_path: Path) -> None:
    model = small_model()
    model.graph.node[0].output[0] = "before"
    added = (
        ("GlobalAveragePool", ["before"], "means"),
        ("Less", ["means", "one"], "low"),
        ("Where", ["low", "before", "before"], "stem"),
    )
    for index, (op, inputs, output) in enumerate(added, start=1):
        model.graph.node.insert(index, helper.make_node(op, inputs, [output], name=output))
    model.graph.initializer.append(numpy_helper.from_array(np.float32([1]), "one"))
    refused(model, tmp_path, "'stem'", "repeats its condition")


def test_a_map_of_open_size(tmp_path: Path) -> None:
    model = small_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    refused(model, tmp_path, "C, H and W fixed")


def test_two_outputs(tmp_path: Path) -> None:
    model = small_model()
    model.graph.output.append(helper.make_tensor_value_info("flat", onnx.TensorProto.FLOAT, None))
    refused(model, tmp_path, "one output")


def test_a_folder_with_other_files_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds other files \(thesis.tex\)"):
        write_c(small_model(), tmp_path)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("mine")
    with pytest.raises(UserError, match="cannot write"):
        write_c(small_model(), tmp_path)
    assert (tmp_path / "c").read_text() == "mine"


def test_a_folder_of_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    first = write_c(small_model(seed=0), tmp_path)
    before = (first.folder / "weights.c").read_text()
    write_c(small_model(seed=1), tmp_path)
    assert (first.folder / "weights.c").read_text() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "model.onnx"]


@needs_compiler
def test_names_that_are_no_identifiers(tmp_path: Path) -> None:
    """A name may hold anything: a comment's end, a line's end, a keyword, another alphabet."""
    model = small_model(metadata=False)
    hostile = ('*/ int evil = system("rm"); /*', "int\n#include </etc/passwd>\\", "über ??/ \x1b[31m 層")
    for node in model.graph.node:
        for index, name in enumerate(LAYERS):
            if node.name == name:
                node.name = hostile[index]
            node.input[:] = [hostile[index] if value == f"{name}.weight" else value for value in node.input]
    for tensor in model.graph.initializer:
        for index, name in enumerate(LAYERS):
            if tensor.name == f"{name}.weight":
                tensor.name = hostile[index]
    described = ModelMetadata("small", (3, 8, 8), 10, class_names=tuple(hostile) + tuple("abcdefg"))
    helper.set_model_props(model, described.to_properties())
    compiled = build(model, tmp_path)
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8), np.float32)
    expected = NumpyRuntime(tmp_path / "model.onnx", in_order=True).run(x)
    assert np.array_equal(compiled.run(x[0])[0], expected[0])
    assert (compiled.result.folder / "model.c").read_text().isascii()


@needs_compiler
def test_the_self_test_passes_and_notices_a_changed_weight(tmp_path: Path) -> None:
    folder = write_c(small_model(), tmp_path).folder
    assert subprocess.run(["make", "-s", "check"], cwd=folder, check=False).returncode == 0
    text = (folder / "weights.c").read_text()
    start = text.index("model_bits")
    first = text.index("0x", start)
    (folder / "weights.c").write_text(text[:first] + "0x00000000" + text[first + 10 :])
    assert subprocess.run(["make", "-s", "check"], cwd=folder, check=False).returncode != 0


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not here")
def test_options_that_change_results_are_errors(tmp_path: Path) -> None:
    folder = write_c(small_model(), tmp_path).folder
    command = ["gcc", "-std=c99", "-ffast-math", "-c", "model.c", "-o", "model.o"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "fast-math" in done.stderr


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not here")
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    folder = write_c(small_model(), tmp_path).folder
    sources = [str(folder / name) for name in ("selftest.c", "model.c", "weights.c")]
    options = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    compiles(["gcc", *WARNINGS, *options, "-o", str(tmp_path / "test"), *sources])
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "10 of 10 outputs are equal\n"
