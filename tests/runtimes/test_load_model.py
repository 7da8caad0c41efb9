"""Loading and running whole models: results, tensors between nodes, and what is wrong with an input."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.oracle import same_bits
from support.small_models import CLASSES, LAYERS, images, small_model, write_small_model

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import binary_conv_attributes
from rbnn_deploy.runtimes import RUNTIMES, load_model
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_model_runs_and_describes_itself(small_model_path: Path, runtime: str) -> None:
    model = load_model(small_model_path, runtime, threads=1)
    assert model.name == runtime
    assert model.input_shape == (3, 8, 8)
    assert model.metadata is not None
    assert model.metadata.architecture == "small"
    assert model.run(images(5)).shape == (5, CLASSES)
    assert model.run(images(0)).shape == (0, CLASSES)


def test_runtimes_agree(small_model_path: Path) -> None:
    x = images(64)
    logits = {name: load_model(small_model_path, name).run(x) for name in RUNTIMES}
    # Float steps of stem and head round differently: 64 sums of 27 products and a mean of 64 values.
    for name in RUNTIMES[1:]:
        np.testing.assert_allclose(logits[name], logits["ort"], atol=1e-5)
    assert np.abs(logits["ort"]).max() > 0.1


@pytest.mark.parametrize("threads", [1, 2])
def test_binary_layers_of_ort_and_numpy_give_the_same_bits(small_model_path: Path, threads: int) -> None:
    x = images(7)
    # The NumPy backend's arithmetic on the tensors that ONNX Runtime itself had between its nodes.
    found = load_model(small_model_path, "ort", threads).run_with(x, ["a", "b", "c", "d"])
    evaluated = load_model(small_model_path, "numpy")
    proto = onnx.load(small_model_path)
    tensors = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer} | found
    nodes = [node for node in proto.graph.node if node.name in LAYERS]
    assert len(nodes) == len(LAYERS)
    for node in nodes:
        attributes = binary_conv_attributes(node)
        y = binary_conv2d(*(tensors[name] for name in node.input), attributes=attributes)
        assert same_bits(y, found[node.output[0]])
    assert set(evaluated.run_with(x, ["a", "d"])) == {"a", "d"}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_run_with_gives_inputs_values_and_outputs(small_model_path: Path, runtime: str) -> None:
    model, x = load_model(small_model_path, runtime, threads=1), images(3)
    found = model.run_with(x, ["logits", "input", "b"])
    assert set(found) == {"logits", "input", "b"}
    assert found["input"] is x
    assert found["b"].shape == (3, 8, 8, 20)
    assert same_bits(found["logits"], model.run(x))
    with pytest.raises(UserError, match="no tensor named nothing"):
        model.run_with(x, ["nothing"])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_model_that_mixes_samples_sees_the_whole_batch(tmp_path: Path, runtime: str) -> None:
    model = onnx.load(write_small_model(tmp_path))
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["logits", "batch_axis"], ["mean"]),
            helper.make_node("Sub", ["logits", "mean"], ["centred"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "batch_axis"))
    model.graph.output[0].name = "centred"
    path = tmp_path / "centred.onnx"
    onnx.save(model, path)
    loaded, x = load_model(path, runtime, threads=1), images(2000)
    x[:1000] += 1  # so that a part of the batch has another mean than the whole
    found = loaded.run_with(x, ["logits", "centred"])
    # A mean of 2000 float32 logits of size 1.
    want = found["logits"] - found["logits"].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(found["centred"], want, atol=1e-4)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_model_without_our_metadata_runs(tmp_path: Path, runtime: str) -> None:
    model = load_model(write_small_model(tmp_path, metadata=False), runtime)
    assert model.metadata is None
    assert model.run(images(2)).shape == (2, CLASSES)


@pytest.mark.parametrize("runtime", ["ort", "numpy"])
def test_a_model_without_the_function_runs_where_the_operator_is_known(tmp_path: Path, runtime: str) -> None:
    path = write_small_model(tmp_path, function=False)
    assert load_model(path, runtime).run(images(2)).shape == (2, CLASSES)
    with pytest.raises(UserError, match="carries no functions"):
        load_model(path, "ort-portable")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"a text that is no model\n" * 20, "is not an ONNX model"),
        ("truncated", "is not an ONNX model"),
    ],
    ids=["missing", "empty", "text", "truncated"],
)
def test_a_bad_file(tmp_path: Path, runtime: str, content: bytes | str | None, message: str) -> None:
    path = tmp_path / "bad.onnx"
    if content == "truncated":
        whole = small_model().SerializeToString()
        content = whole[: len(whole) // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_model(path, runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_folder_is_no_model(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(UserError, match="is a folder"):
        load_model(tmp_path, runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 3, 8, 8)), "not float64"),
        ([[1.0]], "not list"),
        (np.zeros((3, 8, 8), np.float32), r"not \[3, 8, 8\]"),
        (np.zeros((1, 3, 8, 9), np.float32), r"\[N, 3, 8, 8\], not \[1, 3, 8, 9\]"),
    ],
    ids=["dtype", "list", "rank", "size"],
)
def test_a_bad_input(small_model_path: Path, runtime: str, x: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(small_model_path, runtime).run(x)


@pytest.mark.parametrize("runtime", ["ort", "numpy"])
def test_weights_of_the_wrong_size_are_refused(tmp_path: Path, runtime: str) -> None:
    model = small_model()
    (weight,) = [t for t in model.graph.initializer if t.name == f"{LAYERS[1]}.weight"]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[..., :-1].copy(), weight.name))
    path = tmp_path / "wrong.onnx"
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"W must"):
        load_model(path, runtime).run(images(1))


def write_two_of_each(folder: Path, kind: int = TensorProto.FLOAT, shape: object = ("N", 3)) -> Path:
    """Writes a model that takes two tensors and returns their sum and their product."""
    a, b, c, d = (helper.make_tensor_value_info(name, kind, shape) for name in "abcd")
    nodes = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Mul", ["a", "b"], ["d"])]
    graph = helper.make_graph(nodes, "g", [a, b], [c, d])
    path = folder / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int32])
def test_several_inputs_and_outputs_go_by_name(tmp_path: Path, runtime: str, dtype: type) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = load_model(write_two_of_each(tmp_path, kind), runtime)
    a = np.arange(6, dtype=dtype).reshape(2, 3)
    b = a[::-1].copy()
    found = model.run({"b": b, "a": a})
    assert list(found) == ["c", "d"]
    assert np.array_equal(found["c"], a + b)
    assert np.array_equal(found["d"], a * b)
    assert set(model.run_with({"a": a, "b": b}, ["a", "d"])) == {"a", "d"}
    name = np.dtype(dtype).name
    assert f"a: {name} [N, 3], b: {name} [N, 3] -> c: {name} [N, 3], d: {name} [N, 3]" in repr(model)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 3), np.float32), r"takes a: float32 \[N, 3\], b: .*; give a dict"),
        ({"a": np.zeros((2, 3), np.float32)}, "not inputs called a$"),
        ({}, "not inputs called none"),
        ({name: np.zeros((2, 3), np.float32) for name in "abc"}, "called a, b, c"),
        ({"a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 3))}, "the input b takes .*, not float64"),
        ({"a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 4), np.float32)}, r"not \[2, 4\]; reshape it"),
        (
            {"a": np.zeros((2, 3), np.float32), "b": np.zeros((1, 3), np.float32)},
            "a and b must have the same size N, not 2 and 1",
        ),
    ],
    ids=["array", "missing", "empty", "unknown", "type", "shape", "batch"],
)
def test_bad_inputs_of_several(tmp_path: Path, runtime: str, inputs: object, message: str) -> None:
    model = load_model(write_two_of_each(tmp_path), runtime)
    with pytest.raises(UserError, match=message):
        model.run(inputs)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [(TensorProto.DOUBLE, ("N", 3)), (TensorProto.FLOAT16, ("N", 3)), (TensorProto.FLOAT, ()), (1, None)],
    ids=["float64", "float16", "scalar", "unknown rank"],
)
def test_inputs_that_are_not_taken(tmp_path: Path, runtime: str, kind: int, shape: object) -> None:
    with pytest.raises(UserError, match="only models with a batch as first axis"):
        load_model(write_two_of_each(tmp_path, kind, shape), runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_input_by_name(small_model_path: Path, runtime: str) -> None:
    model, x = load_model(small_model_path, runtime), images(2)
    assert same_bits(model.run({"input": x}), model.run(x))
    assert list(model.run_outputs(x)) == ["logits"]


def test_unknown_runtime_and_thread_counts(small_model_path: Path) -> None:
    with pytest.raises(UserError, match="choose one of ort, ort-portable, numpy"):
        load_model(small_model_path, "tensorrt")
    with pytest.raises(UserError, match="at least 1"):
        load_model(small_model_path, threads=0)


def test_loading_twice_works(small_model_path: Path) -> None:
    first, second = load_model(small_model_path), load_model(small_model_path)
    assert same_bits(first.run(images(2)), second.run(images(2)))
