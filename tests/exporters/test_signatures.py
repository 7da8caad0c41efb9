"""Networks of several inputs and outputs, and of inputs that are no images: names, batch, results."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.runtimes import RUNTIMES

# Float sums of up to 27 products in another order, through at most two float layers of size 1.
TOLERANCE = 1e-4
pytestmark = pytest.mark.filterwarnings("ignore:.*never learned", "ignore:.*without mean and std")


def seeded(module: nn.Module) -> nn.Module:
    return randomise(module, 0).eval()


class Stereo(nn.Module):
    """Two images and a row of numbers in; a dict with a map, a row and a nested pair out."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.binary = rbnn_deploy.RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.depth, self.head, self.speed = nn.Conv2d(16, 1, 1), nn.Linear(16, 5), nn.Linear(4, 16)

    def forward(self, left: Tensor, right: Tensor, speed: Tensor) -> dict[str, Any]:
        x = self.norm(self.left(left) + self.right(right))
        x = self.binary(x) + x
        pooled = x.mean((2, 3)) + self.speed(speed)
        return {
            "depth": self.depth(x),
            "classes": self.head(pooled),
            "more": (pooled, x[:, :2]),
            "none": None,
        }


STEREO_INPUTS = {"left": (3, 12, 10), "right": (1, 12, 10), "speed": (4,)}
STEREO_OUTPUTS = ["depth", "classes", "more.0", "more.1"]


def feeds(count: int, shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((count, *shape), np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    module, path = seeded(Stereo()), tmp_path_factory.mktemp("stereo") / "stereo.onnx"
    rbnn_deploy.export(module, path, inputs=STEREO_INPUTS)
    return module, path


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_runtimes_compute_what_torch_does(
    stereo: tuple[nn.Module, Path], runtime: str, count: int
) -> None:
    module, path = stereo
    model, x = rbnn_deploy.load_model(path, runtime), feeds(count, STEREO_INPUTS)
    with torch.no_grad():
        out = module(**{name: torch.from_numpy(value) for name, value in x.items()})
    found = model.run(x)
    assert list(found) == STEREO_OUTPUTS
    for name, want in zip(STEREO_OUTPUTS, [out["depth"], out["classes"], *out["more"]], strict=True):
        np.testing.assert_allclose(found[name], want.numpy(), atol=TOLERANCE)
    assert {name: v.shape for name, v in model.run(feeds(0, STEREO_INPUTS)).items()} == {
        "depth": (0, 1, 12, 10),
        "classes": (0, 5),
        "more.0": (0, 16),
        "more.1": (0, 2, 12, 10),
    }


def test_the_file_declares_names_and_a_batch_for_all(stereo: tuple[nn.Module, Path]) -> None:
    graph = onnx.load(stereo[1]).graph
    assert [value.name for value in graph.input] == list(STEREO_INPUTS)
    assert [value.name for value in graph.output] == STEREO_OUTPUTS
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    assert [node.op_type for node in graph.node].count("BinaryConv2d") == 1
    metadata = rbnn_deploy.load_model(stereo[1]).metadata
    assert metadata == ModelMetadata("Stereo", version=rbnn_deploy.__version__)


@pytest.mark.parametrize("simplify", [True, False])
def test_outputs_can_be_named(tmp_path: Path, simplify: bool) -> None:
    path = tmp_path / "m.onnx"
    rbnn_deploy.export(
        seeded(Stereo()), path, inputs=STEREO_INPUTS, output_names=["a", "b", "c", "norm"], simplify=simplify
    )
    assert list(rbnn_deploy.load_model(path).run(feeds(3, STEREO_INPUTS))) == ["a", "b", "c", "norm"]


class Wrapped(nn.Module):
    """A binary layer between a user's own code in front and behind."""

    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.layer = rbnn_deploy.RotatedBinaryConv2d(8, 8, 3, padding=1)
        self.embed, self.steps = nn.Embedding(2, 8), forward

    def forward(self, *inputs: Tensor) -> Any:
        return self.steps(self, *inputs)


MAP = (8, 6, 5)
Pair = namedtuple("Pair", ["first", "second"])


@pytest.mark.parametrize(
    ("forward", "names"),
    [
        (lambda m, x: (m.layer(x), m.layer(x).mean((2, 3))), ["output_0", "output_1"]),
        (lambda m, x: [m.layer(x), {"mask": x * 2}], ["output_0", "output_1.mask"]),
        (lambda m, x: Pair(m.layer(x), x + 1), ["first", "second"]),
        (lambda m, x: (y := m.layer(x), y), ["output_0", "output_1"]),
        (lambda m, x: (m.layer(x), m.layer(x)), ["output_0", "output_1"]),
        (lambda m, x: (y := m.layer(x), y.clone(), y + 0.0), ["output_0", "output_1", "output_2"]),
        (lambda m, x: (y := m.layer(x).relu(), y.relu()), ["output_0", "output_1"]),
        (lambda m, x: (m.layer(x), x), ["output_0", "output_1"]),
        (lambda m, x: {"only": m.layer(x), "none": None}, ["logits"]),
        (lambda m, x: {"layer": m.layer(x), "mul": x * 3}, ["layer", "mul"]),  # names of nodes
        (lambda m, x: {"layer.weight": m.layer(x), "y": x * 3}, ["layer.weight", "y"]),  # and of a weight
    ],
    ids=[
        "tuple",
        "list and dict",
        "namedtuple",
        "twice",
        "equal",
        "copies",
        "relu",
        "the input",
        "one",
        "nodes",
        "weight",
    ],
)
def test_names_from_the_structure(tmp_path: Path, forward: Any, names: list[str]) -> None:
    path, module = tmp_path / "m.onnx", Wrapped(forward)
    rbnn_deploy.export(module, path, input_shape=MAP)
    x = feeds(3, {"input": MAP})["input"]
    for runtime in RUNTIMES:
        found = rbnn_deploy.load_model(path, runtime).run_outputs(x)
        assert list(found) == names
        with torch.no_grad():
            want = [t for t in torch.utils._pytree.tree_leaves(module(torch.from_numpy(x))) if t is not None]
        for name, tensor in zip(names, want, strict=True):
            np.testing.assert_allclose(found[name], tensor.numpy(), atol=TOLERANCE)


class EveryValue(nn.Module):
    """Residuals, activations, pools and a head, each value of which is an output too."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 5)
        self.binary = nn.ModuleList(rbnn_deploy.RotatedBinaryConv2d(16, 16, 3, padding=1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(16) for _ in range(3))
        self.slopes = nn.PReLU(16)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y: dict[str, Tensor] = {"stem": self.stem(x)}

        def last(name: str, value: Tensor) -> Tensor:
            y[name] = value
            return value

        x = last("clip", y["stem"].clamp(-1, 1))
        for i, (binary, norm) in enumerate(zip(self.binary, self.norms, strict=True)):
            x = last(f"norm{i}", norm(last(f"binary{i}", binary(x))) if i < 2 else binary(norm(x)))
            x = last(f"sum{i}", x + y["clip"])
            x = last(f"act{i}", self.slopes(x) if i else x.clamp(-1, 1))
        x = last("pool", nn.functional.max_pool2d(x, 2))
        x = last("mean", x.mean((2, 3)))
        last("logits", self.head(x))
        return y


@pytest.mark.parametrize("kept", ["all", "some"])
def test_fusions_keep_values_that_are_outputs(tmp_path: Path, kept: str) -> None:
    class Kept(EveryValue):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            found = list(super().forward(x).items())
            return dict(found if kept == "all" else found[::3])

    torch.manual_seed(0)
    path, module = tmp_path / "m.onnx", randomise(Kept(), 3)
    rbnn_deploy.export(module, path, input_shape=(3, 8, 8))
    x = feeds(6, {"input": (3, 8, 8)})
    report = rbnn_deploy.compare(path, module, x, layers=True)
    assert report.ok, report.to_text()
    found = rbnn_deploy.load_model(path).run(x)
    with torch.no_grad():
        want = module(torch.from_numpy(x["input"]))
    assert list(found) == list(want)
    # Before the first binary layer nothing can flip.
    np.testing.assert_allclose(found["stem"], want["stem"].numpy(), atol=TOLERANCE)


@pytest.mark.parametrize(
    ("forward", "inputs", "types"),
    [
        (lambda m, x: m.layer(x.reshape(-1, 8, 2, 2)).mean((2, 3)), {"row": (32,)}, ["float32 [N, 32]"]),
        (
            lambda m, x: m.layer(x.permute(0, 2, 1)[..., None])[..., 0],
            {"steps": (6, 8)},
            ["float32 [N, 6, 8]"],
        ),
        (
            lambda m, x: m.layer(x.flatten(0, 1)).unflatten(0, (-1, 4)).mean(1),
            {"clip": (4, *MAP)},
            ["float32 [N, 4, 8, 6, 5]"],
        ),
        (
            lambda m, tokens, x: (
                m.layer(m.embed(tokens).permute(0, 2, 1)[..., None]) + x[:, None, None, None]
            ),
            {"tokens": torch.zeros(1, 7, dtype=torch.int64), "x": ()},
            ["int64 [N, 7]", "float32 [N]"],
        ),
        (
            lambda m, pixels, mask: m.layer(pixels / 255) * mask[:, None],
            {"pixels": np.zeros((1, *MAP), np.uint8), "mask": torch.zeros(1, 6, 5, dtype=torch.bool)},
            ["uint8 [N, 8, 6, 5]", "bool [N, 6, 5]"],
        ),
        (
            lambda m, x, unused: m.layer(x),
            {"x": MAP, "unused": (3,)},
            ["float32 [N, 8, 6, 5]", "float32 [N, 3]"],
        ),
    ],
    ids=["row", "steps", "clip", "tokens", "bytes and bits", "unused"],
)
def test_inputs_that_are_no_images(tmp_path: Path, forward: Any, inputs: dict, types: list[str]) -> None:
    path, module = tmp_path / "m.onnx", Wrapped(forward)
    rbnn_deploy.export(module, path, inputs=inputs)
    model = rbnn_deploy.load_model(path)
    assert [spec.name for spec in model.signature.inputs] == list(inputs)
    assert [spec.describe() for spec in model.signature.inputs] == types
    x = model.signature.draw(np.random.default_rng(1), 5)
    with torch.no_grad():
        want = module(*(torch.from_numpy(value) for value in x.values())).numpy()
    for runtime in RUNTIMES:
        np.testing.assert_allclose(rbnn_deploy.load_model(path, runtime).run(x), want, atol=TOLERANCE)
    report = rbnn_deploy.compare(path, module, x, layers=True)
    assert report.ok, report.to_text()


class Keywords(nn.Module):
    """An optional argument that is left out, and one that goes by keyword only."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = rbnn_deploy.RotatedBinaryConv2d(8, 8, 3)

    def forward(self, a: Tensor, skip: Tensor | None = None, *, b: Tensor) -> Tensor:
        return self.layer(a) - b.mean((2, 3), keepdim=True)


def test_arguments_by_keyword(tmp_path: Path) -> None:
    path, module = tmp_path / "m.onnx", Keywords()
    rbnn_deploy.export(module, path, inputs={"b": MAP, "a": MAP})
    x = feeds(2, {"a": MAP, "b": MAP})
    with torch.no_grad():
        want = module(torch.from_numpy(x["a"]), b=torch.from_numpy(x["b"])).numpy()
    model = rbnn_deploy.load_model(path)
    assert [spec.name for spec in model.signature.inputs] == ["a", "b"]
    np.testing.assert_allclose(model.run(x), want, atol=TOLERANCE)


def test_a_list_of_inputs_takes_the_names_of_arguments(tmp_path: Path) -> None:
    rbnn_deploy.export(seeded(Stereo()), tmp_path / "m.onnx", inputs=[(3, 8, 8), (1, 8, 8), (4,)])
    signature = rbnn_deploy.load_model(tmp_path / "m.onnx").signature
    assert [spec.name for spec in signature.inputs] == ["left", "right", "speed"]


def test_a_shape_of_any_rank(tmp_path: Path) -> None:
    module = Wrapped(lambda m, x: m.layer(x.reshape(-1, 8, 2, 2)).mean((2, 3)))
    rbnn_deploy.export(module, tmp_path / "m.onnx", input_shape=(32,))
    assert rbnn_deploy.load_model(tmp_path / "m.onnx").run(np.zeros((2, 32), np.float32)).shape == (2, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": STEREO_INPUTS, "input_shape": (3, 8, 8)}, "give one of them"),
        ({}, r"pass input_shape=\(C, H, W\), or inputs"),
        ({"inputs": {}}, "the inputs cannot be"),
        ({"inputs": (3, 8, 8)}, "the inputs cannot be"),
        ({"inputs": {**STEREO_INPUTS, "speed": 4}}, "the input speed cannot be 4"),
        ({"inputs": {**STEREO_INPUTS, "speed": (0,)}}, r"cannot have the sizes \[0\]"),
        ({"inputs": {**STEREO_INPUTS, "speed": (10**9,)}}, "each is from 1 to"),
        ({"inputs": {**STEREO_INPUTS, "speed": np.zeros((1, 4))}}, "speed is float64, and models take"),
        ({"inputs": {**STEREO_INPUTS, "speed": np.float32(1)}}, "the input speed cannot be"),
        ({"inputs": {**STEREO_INPUTS, "speed": np.zeros((), np.float32)}}, "a single number"),
        ({"inputs": {"left": (3, 8, 8), "right": (1, 8, 8)}}, "forward of Stereo cannot take"),
        ({"inputs": {"left": (3, 8, 8), "other": (1, 8, 8), "speed": (4,)}}, "and none called other"),
        ({"inputs": {"le\x1bft": (3, 8, 8), "b": (1, 8, 8), "c": (4,)}}, "an input cannot be called"),
        ({"inputs": STEREO_INPUTS, "dynamic_size": True}, "is that of images, and Stereo takes left"),
        ({"inputs": STEREO_INPUTS, "output_names": ["a"]}, r"1 names for 4 outputs \(depth, classes"),
        ({"inputs": STEREO_INPUTS, "output_names": ["a", "b", "c", "a"]}, "are called a;"),
        ({"inputs": STEREO_INPUTS, "output_names": ["a", "b", "c", "left"]}, "are called left;"),
        ({"inputs": STEREO_INPUTS, "output_names": ["a", "b", "c", ""]}, "an output cannot be called"),
        ({"inputs": STEREO_INPUTS, "metadata": ModelMetadata("a", (3, 8, 8))}, "leave one of them out"),
        ({"inputs": STEREO_INPUTS, "metadata": ModelMetadata("a", mean=(0.5,))}, "it needs input_shape"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        rbnn_deploy.export(seeded(Stereo()), tmp_path / "m.onnx", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: (m.layer(x), x.mean()),
        lambda m, x: (m.layer(x), x.mean(0)),
        lambda m, x: {"y": m.layer(x), "class": x.flatten(1).argmax(1)},
        lambda m, x: (m.layer(x), x.double()),
    ],
    ids=["0-d", "no batch", "integers", "float64"],
)
def test_every_output_is_float32_of_the_batch(tmp_path: Path, forward: Any) -> None:
    with pytest.raises(UserError, match="each tensor that its forward method returns must be float32"):
        rbnn_deploy.export(Wrapped(forward), tmp_path / "m.onnx", input_shape=MAP)


def test_what_is_no_tensor_cannot_be_returned(tmp_path: Path) -> None:
    module = Wrapped(lambda m, x: {"y": m.layer(x), "stride": 2})
    with pytest.raises(UserError, match="returns dict of Tensor, int; let it return tensors"):
        rbnn_deploy.export(module, tmp_path / "m.onnx", input_shape=MAP)


def test_an_input_and_an_output_of_one_name(tmp_path: Path) -> None:
    class Mask(Wrapped):
        def forward(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
            return {"x": self.layer(x), "mask": mask * 2}

    with pytest.raises(UserError, match="are called x; pass other output_names"):
        rbnn_deploy.export(Mask(None), tmp_path / "m.onnx", inputs={"x": MAP, "mask": MAP})


def test_the_self_check_finds_one_wrong_output(tmp_path: Path) -> None:
    def forward(m: Wrapped, x: Tensor) -> tuple[Tensor, Tensor]:
        return m.layer(x), x + (1.0 if torch.compiler.is_exporting() else 0.0)

    with pytest.raises(UserError, match="4 of 4 random inputs have outputs up to 1 apart"):
        rbnn_deploy.export(Wrapped(forward), tmp_path / "m.onnx", input_shape=MAP)
    assert list(tmp_path.iterdir()) == []


def test_inspect_and_bench_take_every_input(stereo: tuple[nn.Module, Path]) -> None:
    facts = rbnn_deploy.inspect(stereo[1]).facts
    assert facts["inputs"] == (
        "left: float32 [N, 3, 12, 10], right: float32 [N, 1, 12, 10], speed: float32 [N, 4]"
    )
    assert facts["outputs"].startswith("depth: float32 [N, 1, 12, 10], classes: float32 [N, 5], more.0: ")
    report = rbnn_deploy.bench(stereo[1], batch=3, runs=1, baselines=["fp32", "int8", "portable"])
    assert [result.name for result in report.results] == ["ort", "fp32", "int8", "portable"]
    assert [layer.binary_macs for layer in report.layers] == [3 * 120 * 16 * 16 * 9]
