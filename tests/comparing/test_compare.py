"""Comparing deployed models: agreement, ties that explain a difference, and faults that nothing explains."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from support.small_models import LAYERS, images, write_small_model
from torch import Tensor, nn

from rbnn_deploy.api import export
from rbnn_deploy.comparing import ComparisonReport, compare, same_input
from rbnn_deploy.errors import UserError
from rbnn_deploy.model_files.digest import add_digest
from rbnn_deploy.operators import DOMAIN
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.runtimes.numpy_backend.operators import BinaryConv2d

RUNTIMES = ("ort", "ort-portable", "numpy")


class Network(nn.Module):
    """Two binary layers, the second called twice; the first has zero as its threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.first = RotatedBinaryConv2d(24, 24, 3, padding=1, threshold="zero")
        self.second = RotatedBinaryConv2d(24, 24, 3, padding=1)
        self.head = nn.Linear(24, 5)
        nn.init.zeros_(self.stem.bias)
        nn.init.ones_(self.stem.bias[:1])  # or the exporter would drop a bias of zeros

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.stem(x))
        x = nn.functional.hardtanh(self.second(x) + x)
        x = nn.functional.hardtanh(self.second(x) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module")
def model_path(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "network.onnx"
    export(network, path, input_shape=(3, 8, 8))
    return path


def edited(path: Path, folder: Path, edit: dict[str, object]) -> Path:
    """Writes a copy in which initializers are replaced by what a function makes of them."""
    model = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, change in edit.items():
        tensor = tensors[name]
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))
    add_digest(model)  # the model is wrong, not damaged
    onnx.save(model, folder / "edited.onnx")
    return folder / "edited.onnx"


def input_of(path: Path, node_name: str, index: int) -> str:
    (node,) = [node for node in onnx.load(path).graph.node if node.name == node_name]
    return node.input[index]


def flip_one_bit(weights: np.ndarray) -> np.ndarray:
    weights[0, 1, 1, 0] ^= 1
    return weights


def text_of(report: ComparisonReport) -> str:
    """Returns the report's text on one line: where its lines end depends on the terminal."""
    return " ".join(report.to_text().split())


def pair(report: object, left: str, right: str) -> object:
    (found,) = [p for p in report.pairs if (p.left, p.right) == (left, right)]
    return found


def test_runtimes_and_torch_agree(
    network: Network, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = images(100)
    report = compare(model_path, network, x, labels=np.arange(100) % 5, layers=True)
    assert report.ok
    assert report.notes == ()
    assert [(p.left, p.right) for p in report.pairs][:3] == [("torch", name) for name in RUNTIMES]
    assert all(p.top1_agreement >= 0.99 for p in report.pairs)
    assert [layer.name for layer in report.layers] == ["first", "second", "second#2"]
    assert all(layer.identical for layer in report.layers)
    assert all(layer.bits == 100 * 8 * 8 * 24 for layer in report.layers)
    # A bit in ten thousand may lie on its threshold; if layers were mixed up, half of them would differ.
    assert [len(layer.flipped) for layer in report.layers] == [len(report.pairs)] * 3
    assert all(count < 1e-4 * layer.bits for layer in report.layers for count in layer.flipped)
    with torch.no_grad():
        right = network(torch.from_numpy(x)).argmax(1).numpy() == np.arange(100) % 5
    assert report.accuracy["torch"] == right.mean()
    assert "All runtimes agree" in report.to_text().rpartition("\n\n")[2]
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, report.to_text().splitlines())) <= 80


def test_json_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    report = compare(write_small_model(tmp_path), None, images(3), labels=[0, 1, 2])
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert set(found) == {"schema", "samples", "pairs", "accuracy", "ok", "failed_gates", "notes"}
    assert found["samples"] == 3
    assert len(found["pairs"]) == 3
    for entry in found["pairs"]:
        assert set(entry) == {
            "left",
            "right",
            "max_abs_diff",
            "mean_abs_diff",
            "top1_agreement",
            "bit_identical",
            "outputs",
            "explained",
            "unexplained",
            "asked",
            "equal_asked",
        }
    assert set(found["accuracy"]) == set(RUNTIMES)


def test_an_iterator_gives_what_an_array_does(tmp_path: Path) -> None:
    path, x = write_small_model(tmp_path), images(70)
    done: list[int] = []
    whole = compare(path, None, x, runtimes=("ort", "numpy"), layers=True, progress=done.append)
    parts = compare(path, None, iter([x[:64], x[64:]]), runtimes=("ort", "numpy"), layers=True)
    assert whole == parts
    assert done == [32, 64, 70]
    assert [layer.name for layer in whole.layers] == list(LAYERS)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [("first", "of layer second differ"), ("second", "of layer second#2 differ")],
)
def test_one_wrong_weight_bit_is_not_explained(
    network: Network, model_path: Path, tmp_path: Path, layer: str, reason: str
) -> None:
    wrong = edited(model_path, tmp_path, {input_of(model_path, layer, 1): flip_one_bit})
    report = compare(wrong, network, images(40))
    assert not report.ok
    for name in RUNTIMES:
        found = pair(report, "torch", name)
        assert found.unexplained > 30
        # A sample in which no later bit happens to flip is told by its logits alone.
        assert sum(reason in str(explanation) for _, explanation in found.explanations) > 30
    assert pair(report, "ort", "numpy").unexplained == 0
    assert f"torch and ort do NOT agree: {pair(report, 'torch', 'ort').unexplained} samples" in text_of(
        report
    )
    assert report.to_json()["pairs"][0]["unexplained"] > 30


def test_a_wrong_head_is_not_explained(network: Network, model_path: Path, tmp_path: Path) -> None:
    wrong = edited(
        model_path, tmp_path, {input_of(model_path, "head", 2): lambda bias: bias + np.float32(0.01)}
    )
    report = compare(wrong, network, images(10), runtimes=("torch", "ort"))
    assert not report.ok
    assert report.pairs[0].unexplained == 10
    assert "no binary layer's bits differ" in text_of(report)


def images_on_the_threshold(count: int) -> np.ndarray:
    """Images whose right half is black: there the stem gives exact zeros in all channels without a bias."""
    x = images(count)
    x[..., 4:] = 0
    return x


@pytest.mark.parametrize(("shift", "explained"), [(-1e-8, True), (-1e-3, False)])
def test_bits_on_the_threshold_explain_a_difference(
    network: Network, model_path: Path, tmp_path: Path, shift: float, explained: bool
) -> None:
    # A stem that rounds otherwise, as it were: zeros become a little less, and their bits -1 instead of +1.
    stem_bias = input_of(model_path, "stem", 2)
    moved = edited(model_path, tmp_path, {stem_bias: lambda bias: bias + np.float32(shift)})
    report = compare(moved, network, images_on_the_threshold(20), runtimes=("torch", "ort", "numpy"))
    for name in ("ort", "numpy"):
        found = pair(report, "torch", name)
        assert found.explained == (20 if explained else 0)
        assert found.unexplained == (0 if explained else 20)
        assert {explanation.layer for _, explanation in found.explanations} == {"first"}
        assert [sample for sample, _ in found.explanations] == list(range(20))
    assert report.ok is explained
    assert ("fell to different sides" in text_of(report)) is explained


def test_a_flip_does_not_hide_what_is_wrong_behind_it(
    network: Network, model_path: Path, tmp_path: Path
) -> None:
    tiny_shift = {input_of(model_path, "stem", 2): lambda bias: bias + np.float32(-1e-8)}
    wrongs = [
        (
            {input_of(model_path, "head", 2): lambda bias: bias + np.float32(0.01)},
            "behind the last binary layer",
        ),
        ({input_of(model_path, "first", 1): flip_one_bit}, "in front of layer second"),
        ({input_of(model_path, "second", 1): flip_one_bit}, "in front of layer second#2"),
    ]
    for wrong, place in wrongs:
        edited_model = edited(model_path, tmp_path, {**tiny_shift, **wrong})
        report = compare(edited_model, network, images_on_the_threshold(8), runtimes=("torch", "ort"))
        assert not report.ok
        assert report.pairs[0].unexplained >= 7
        assert place in text_of(report)


def test_tolerance_follows_the_size_of_the_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Network(), nn.Linear(5, 4)).eval()
    network[1].weight.data *= 1e5
    path = tmp_path / "large.onnx"
    export(network, path, input_shape=(3, 8, 8))
    report = compare(path, network, images(16))
    assert report.ok, text_of(report)


def test_a_backend_that_differs_on_the_same_input_fails_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: BinaryConv2d, *inputs: np.ndarray, **attributes: object) -> tuple[np.ndarray]:
        (y,) = BinaryConv2d._run(self, *inputs, **attributes)
        return (np.nextafter(y, np.float32(9)),)

    wrong = type("BinaryConv2d", (BinaryConv2d,), {"_run": run, "op_domain": DOMAIN})
    monkeypatch.setattr(same_input, "NEW_OPS", [wrong])
    report = compare(write_small_model(tmp_path), None, images(2), layers=True)
    assert report.differing_layers == list(LAYERS)
    assert not report.ok
    assert f"Layer {LAYERS[0]} does NOT compute the same bits" in text_of(report)
    assert not any(layer["identical"] for layer in report.to_json()["layers"])


def test_layers_are_not_run_alone_without_both_backends(tmp_path: Path) -> None:
    report = compare(
        write_small_model(tmp_path), None, images(2), runtimes=("ort-portable", "numpy"), layers=True
    )
    assert [layer.identical for layer in report.layers] == [None] * 3
    assert report.ok


def test_layers_that_the_module_does_not_have_are_named(network: Network, model_path: Path) -> None:
    report = compare(model_path, nn.Sequential(network), images(5), runtimes=("torch", "ort"), layers=True)
    assert report.notes == (
        "torch has no binary layer called first, second, second#2, so no bits are compared there",
    )
    assert report.layers[0].flipped == (None,)
    assert report.notes[0] in text_of(report)
    assert report.layers[0].identical is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtimes": ("ort",)}, "at least two runtimes"),
        ({"runtimes": ("torch", "ort")}, "at least two runtimes"),
        ({"runtimes": ("ort", "tensorrt")}, "no runtime 'tensorrt'"),
        ({"labels": [1, 2]}, "2 labels for 3 samples"),
        ({"samples": iter(())}, "no sample"),
        ({"samples": np.zeros((0, 3, 8, 8), np.float32)}, "no sample"),
        ({"samples": np.zeros((1, 3, 8, 8))}, "not float64; convert the images to a float32 array"),
        ({"samples": images(1)[0]}, r"not \[3, 8, 8\]; resize or reshape"),
        ({"samples": np.zeros((1, 3, 9, 8), np.float32)}, r"\[1, 3, 9, 8\]"),
        ({"module": nn.Flatten()}, "exported from"),
    ],
)
def test_wrong_use(tmp_path: Path, options: dict, message: str) -> None:
    given = {"module": None, "samples": images(3)} | options
    with pytest.raises(UserError, match=message):
        compare(write_small_model(tmp_path), **given)


def test_a_model_without_binary_layers_is_refused(tmp_path: Path) -> None:
    model = onnx.load(write_small_model(tmp_path))
    del model.graph.node[1:6]
    model.graph.node[1].input[0] = model.graph.node[0].output[0]
    onnx.save(model, tmp_path / "float.onnx")
    with pytest.raises(UserError, match="no binary layer"):
        compare(tmp_path / "float.onnx", None, images(1))


def test_comparing_leaves_the_module_as_it_was(network: Network, model_path: Path) -> None:
    network.train()
    try:
        compare(model_path, network, images(2), runtimes=("torch", "ort"), layers=True)
        assert network.training
        assert network.first.training
        assert not network.first._forward_pre_hooks
    finally:
        network.eval()
