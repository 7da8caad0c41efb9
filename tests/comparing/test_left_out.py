"""Models with an operator that the NumPy backend lacks: the comparison goes on without it."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from support.small_models import images, write_small_model
from torch import Tensor, nn

from rbnn_deploy.api import export
from rbnn_deploy.comparing import compare
from rbnn_deploy.errors import UnsupportedModelError, UserError
from rbnn_deploy.model_files.digest import add_digest
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.numpy_backend.operators import BinaryConv2d


class Warped(nn.Module):
    """A binary layer whose output is sampled on a rotated grid: onnx's GridSample-16 has no evaluator."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.binary = RotatedBinaryConv2d(24, 24, 3, padding=1, threshold="zero")
        self.head = nn.Linear(24, 5)
        nn.init.zeros_(self.stem.bias)
        nn.init.ones_(self.stem.bias[:1])  # or the exporter would drop a bias of zeros
        rotation = torch.tensor([[[0.9, 0.1, 0], [-0.1, 0.9, 0]]])
        self.register_buffer("grid", nn.functional.affine_grid(rotation, (1, 24, 8, 8), align_corners=False))

    def forward(self, x: Tensor) -> Tensor:
        grid = self.grid.expand(x.shape[0], -1, -1, -1)
        return self.head(
            nn.functional.grid_sample(self.binary(self.stem(x)), grid, align_corners=False).mean((2, 3))
        )


@pytest.fixture(scope="module")
def network() -> Warped:
    torch.manual_seed(0)
    return Warped().eval()


@pytest.fixture(scope="module")
def path(network: Warped, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warped") / "warped.onnx"
    export(network, path, input_shape=(3, 8, 8))
    return path


def test_numpy_is_left_out_with_a_note(network: Warped, path: Path) -> None:
    report = compare(path, network, images(40), labels=[0] * 40, layers=True)
    assert report.ok
    assert [(p.left, p.right) for p in report.pairs] == [
        ("torch", "ort"),
        ("torch", "ort-portable"),
        ("ort", "ort-portable"),
    ]
    assert set(report.accuracy) == {"torch", "ort", "ort-portable"}
    (note,) = report.notes
    assert note.startswith("numpy is left out: the NumPy backend cannot run")
    assert "GridSample" in note
    assert note in " ".join(report.to_text().split())
    # The binary layer alone has no GridSample: NumPy still judges its bits.
    assert [layer.identical for layer in report.layers] == [True]
    assert report == compare(path, network, iter([images(40)]), labels=[0] * 40, layers=True)


def test_one_runtime_is_nothing_to_compare(path: Path) -> None:
    with pytest.raises(UserError, match=r"only one runs the model: .*GridSample"):
        compare(path, None, images(2), runtimes=("ort", "numpy"))


def test_an_operator_that_numpy_cannot_even_load_is_left_out_too(tmp_path: Path) -> None:
    model = onnx.load(write_small_model(tmp_path))
    model.graph.node[-1].output[0] = "sums"
    model.graph.node.append(helper.make_node("FastGelu", ["sums"], ["logits"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "gelu.onnx")
    with pytest.raises(UnsupportedModelError, match="cannot load"):
        load_model(tmp_path / "gelu.onnx", "numpy")
    report = compare(tmp_path / "gelu.onnx", None, images(3))
    assert [(p.left, p.right) for p in report.pairs] == [("ort", "ort-portable")]
    assert "FastGelu" in report.notes[0]


def test_a_fault_of_an_operator_of_ours_is_no_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if the operator's own file had the fault.
    code = "def _run(self, *inputs, **attributes):\n    return (inputs[0] @ inputs[1],)\n"
    namespace = vars(sys.modules[BinaryConv2d.__module__])
    found: dict = {}
    exec(code, namespace, found)
    monkeypatch.setattr(BinaryConv2d, "_run", found["_run"])
    with pytest.raises(UserError, match="cannot run") as raised:
        compare(write_small_model(tmp_path), None, images(3))
    assert not isinstance(raised.value, UnsupportedModelError)


def differing(path: Path, folder: Path, head: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ort-portable run a model whose stem rounds otherwise, and whose head is off by a number."""
    model = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    for name, shift in (("stem", -1e-8), ("head", head)):
        tensor = tensors[nodes[name].input[2]]
        moved = numpy_helper.to_array(tensor) + np.float32(shift)
        tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    add_digest(model)  # the model is wrong, not damaged
    other = folder / "other.onnx"
    onnx.save(model, other)
    monkeypatch.setattr(
        sys.modules["rbnn_deploy.comparing.compare"],
        "load_model",
        lambda path, name, threads: load_model(other if name == "ort-portable" else path, name, threads),
    )


def images_on_the_threshold() -> np.ndarray:
    x = images(6)
    x[..., 4:] = 0
    return x


@pytest.mark.parametrize("head", [0, 0.01])
@pytest.mark.parametrize("runtimes", [("torch", "ort", "ort-portable"), ("ort", "ort-portable")])
def test_torch_judges_between_runtimes_where_numpy_cannot(
    network: Warped,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    head: float,
    runtimes: tuple[str, ...],
) -> None:
    differing(path, tmp_path, head, monkeypatch)
    report = compare(path, network, images_on_the_threshold(), runtimes=runtimes)
    found = report.pairs[-1]
    assert (found.left, found.right) == ("ort", "ort-portable")
    assert len(found.explanations) == 6
    judged = "torch" in runtimes
    # Without a judge, a head that is wrong behind a flip cannot be seen; the report says that nobody looked.
    assert found.unexplained == (6 if judged and head else 0)
    assert any(note.startswith("no judge repeated") for note in report.notes) is not judged
    if judged and head:
        assert "torch repeating ort-portable: " in " ".join(report.to_text().split())
