"""What a deployed file says of its images and classes: what was given, checked, and nothing in silence."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy import ModelMetadata
from rbnn_deploy.errors import UserError
from rbnn_deploy.inspecting import read_metadata
from rbnn_deploy.pytorch.comparing import TorchSubject
from rbnn_deploy.pytorch.layers import begin_epoch
from rbnn_deploy.signature import Signature, TensorSpec

pytest.importorskip("onnxscript")
SHAPE = (3, 8, 8)


def network(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        rbnn_deploy.RotatedBinaryConv2d(channels, 8, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    begin_epoch(module, 0, 1)
    return module


def test_a_module_without_metadata_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.warns(UserWarning, match="Sequential is exported without mean and std.*ModelMetadata"):
        rbnn_deploy.export(network(), path, input_shape=SHAPE)
    assert read_metadata(path) == ModelMetadata(
        "Sequential", SHAPE, num_classes=4, version=rbnn_deploy.__version__
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        given = ModelMetadata("mine", SHAPE, mean=[0, 0, 0], std=[1, 1, 1], class_names=[*"abcd"])
        rbnn_deploy.export(network(), path, metadata=given)
    written = read_metadata(path)
    assert (written.architecture, written.mean, written.class_names) == ("mine", (0, 0, 0), tuple("abcd"))


def test_metadata_given_beside_a_checkpoint_replace_its_own(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    rbnn_deploy.export(checkpoint, path)
    known = read_metadata(path)
    assert known.class_names == tuple("abcdefghij")
    names = [f"digit {i}" for i in range(10)]
    rbnn_deploy.export(
        checkpoint, path, metadata=ModelMetadata(known.architecture, (1, 8, 8), class_names=names)
    )
    written = read_metadata(path)
    assert written.class_names == tuple(names)
    assert (written.mean, written.checkpoint_sha256) == (known.mean, known.checkpoint_sha256)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mean": (float("nan"),) * 3}, "mean must be finite"),
        ({"mean": (0.5,)}, "one for each of the 3 channels"),
        ({"std": (1, 0, 1)}, "std must be above 0"),
        ({"class_names": ["a", "b"]}, "mine returns 4 logits, but its metadata have 2 classes"),
        ({"num_classes": 5}, "mine returns 4 logits, but its metadata have 5 classes"),
    ],
)
def test_values_that_nobody_could_use_are_not_written(values: dict, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(UserError, match=said):
        rbnn_deploy.export(network(), path, metadata=ModelMetadata("mine", SHAPE, **values))
    assert list(tmp_path.iterdir()) == []


def test_run_and_compare_say_that_images_are_not_normalised(
    cli: Callable, image_folder: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    with pytest.warns(UserWarning, match="without mean and std"):
        rbnn_deploy.export(network(1), path, input_shape=(1, 8, 8))
    image = next(image_folder.rglob("*.png"))
    outcome = cli("run", path, image)
    assert outcome.code == 0
    assert f"note: {path} has no mean and std, so images are scaled to [0, 1]" in outcome.err
    assert "mean" not in cli("run", model, image).err


class Wrapped(nn.Module):
    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.inner, self.wrap = network(), wrap

    def forward(self, x: Tensor) -> object:
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    "wrap", [lambda y: [y], lambda y: (y,), lambda y: {"logits": y}, lambda y: {"out": [y]}]
)
def test_a_network_that_wraps_its_logits_is_exported_and_compared(wrap: Callable, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    module = Wrapped(wrap)
    rbnn_deploy.export(module, path, metadata=ModelMetadata("mine", SHAPE, mean=(0,) * 3, std=(1,) * 3))
    x = torch.randn(2, *SHAPE).numpy()
    report = rbnn_deploy.compare(path, module, x)
    assert report.ok
    assert [(pair.left, pair.unexplained) for pair in report.pairs if pair.left == "torch"] == [
        ("torch", 0)
    ] * 3


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda y: [y, y], "returns 2 tensors and the model 1; compare a model with the checkpoint"),
        (lambda y: {"logits": y, "loss": 0.0}, "returns dict of Tensor, float; let it return tensors"),
        (lambda y: None, "returns NoneType of nothing; let it return tensors"),
    ],
)
def test_torch_has_the_tensors_of_the_model(wrap: Callable, message: str) -> None:
    signature = Signature((TensorSpec("x", "float32", None),), (TensorSpec("y", "float32", None),))
    with pytest.raises(UserError, match=f"the module {message}"):
        TorchSubject(Wrapped(wrap), signature).run({"x": torch.randn(2, *SHAPE).numpy()})
