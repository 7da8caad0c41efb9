"""Models that take pixels: the same bits as the float model's, in every runtime and command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from support.networks import UsersOwnNetwork, randomise
from support.oracle import same_bits
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy import api
from rbnn_deploy.data import normalise
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx import export as exporting
from rbnn_deploy.input_image import InputImage
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.onnx_graph import signature
from rbnn_deploy.pixel_input import add_pixel_input
from rbnn_deploy.runtimes import RUNTIMES, load_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
METADATA = ModelMetadata("own", (3, 18, 15), mean=MEAN, std=STD)


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return randomise(UsersOwnNetwork(), seed=2)


@pytest.fixture(scope="module")
def both(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The network as a model of normalised images, and of pixels."""
    folder = tmp_path_factory.mktemp("both")
    rbnn_deploy.export(network, folder / "float.onnx", metadata=METADATA)
    rbnn_deploy.export(network, folder / "pixels.onnx", metadata=METADATA, input_format="uint8-nhwc")
    return folder / "float.onnx", folder / "pixels.onnx"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_logits_have_the_bits_of_the_float_model(both: tuple[Path, Path], runtime: str, count: int) -> None:
    plain, deployed = (load_model(path, runtime, threads=1) for path in both)
    x = pixels(count, 18, 15, 3)
    logits = deployed.run(x)
    assert logits.shape == (count, 7)
    assert same_bits(logits, plain.run(normalise(x, MEAN, STD)))


def test_so_does_a_graph_that_is_left_alone(network: nn.Module, tmp_path: Path) -> None:
    models = []
    for name in ("float32-nchw", "uint8-nhwc"):
        path = tmp_path / f"{name}.onnx"
        rbnn_deploy.export(network, path, metadata=METADATA, input_format=name, simplify=False)
        models.append(load_model(path, threads=1))
    x = pixels(3, 18, 15, 3)
    assert same_bits(models[1].run(x), models[0].run(normalise(x, MEAN, STD)))


class WideStem(nn.Module):
    """A stem that is worth quantising."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2, padding=3)
        self.binary = rbnn_deploy.RotatedBinaryConv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.binary(nn.functional.hardtanh(self.stem(x))).mean((2, 3)))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_so_do_int8_layers(tmp_path: Path, image_folder: Path, runtime: str) -> None:
    network, metadata = randomise(WideStem(), seed=0), replace(METADATA, input_shape=(3, 32, 32))
    models = []
    for name in ("float32-nchw", "uint8-nhwc"):
        path = tmp_path / f"{name}.onnx"
        result = rbnn_deploy.export(
            network,
            path,
            metadata=metadata,
            input_format=name,
            float_layers="int8",
            calibration=image_folder,
        )
        assert result.int8_layers
        models.append(load_model(path, runtime, threads=1))
    x = pixels(3, 32, 32, 3)
    assert same_bits(models[1].run(x), models[0].run(normalise(x, MEAN, STD)))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_value_of_a_pixel_is_normalised_as_preprocessing_does(
    both: tuple[Path, Path], runtime: str
) -> None:
    values = np.resize(np.arange(256, dtype=np.uint8), (1, 18, 15, 1))  # 270 pixels: all 256 values
    x = np.repeat(values, 3, axis=-1)
    found = load_model(both[1], runtime).run_with(x, ["input", "pixels"])
    assert same_bits(found["input"], normalise(x, MEAN, STD))
    assert found["pixels"] is x


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    count=st.integers(1, 3),
    mean=st.floats(-3, 3, width=32),
    std=st.floats(0.0009765625, 9, width=32),
    known=st.sampled_from([(True, True), (True, False), (False, True), (False, False)]),
)
def test_normalisation_of_any_shape(
    shape: tuple[int, int, int], count: int, mean: float, std: float, known: tuple[bool, bool]
) -> None:
    channels, height, width = shape
    means = tuple(mean + c / 7 for c in range(channels)) if known[0] else None
    stds = tuple(std + c / 3 for c in range(channels)) if known[1] else None
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["logits"], name="pixels")],  # a name that is taken
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", *shape])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    add_pixel_input(model, InputImage(shape, means, stds))
    onnx.checker.check_model(model, full_check=True)
    (taken,) = signature(model.graph).inputs
    assert (taken.name, taken.describe()) == ("pixels_", f"uint8 [N, {height}, {width}, {channels}]")
    x = pixels(count, height, width, channels)
    (found,) = onnx.reference.ReferenceEvaluator(model).run(None, {taken.name: x})
    assert same_bits(found, normalise(x, means, stds))


def test_the_file_says_what_it_takes(both: tuple[Path, Path]) -> None:
    plain, deployed = map(load_model, both)
    assert plain.metadata.input_format is None
    assert plain.metadata == replace(deployed.metadata, input_format=None)
    assert deployed.metadata.takes_pixels
    assert deployed.signature.takes_images
    assert "uint8 [N, 18, 15, 3]" in repr(deployed)
    with pytest.raises(
        UserError, match=r"takes uint8 \[N, 18, 15, 3\], not float32; convert the images to a"
    ):
        deployed.run(np.zeros((1, 3, 18, 15), np.float32))
    with pytest.raises(UserError, match=r"takes uint8 \[N, 18, 15, 3\], not \[1, 3, 18, 15\]"):
        deployed.run(pixels(1, 3, 18, 15))


def test_predict_gives_the_same(both: tuple[Path, Path]) -> None:
    x = pixels(3, 40, 30, 3)
    plain, deployed = (load_model(path, threads=1).predict(x) for path in both)
    assert plain == deployed


def test_compare_gives_torch_the_normalised_image(network: nn.Module, both: tuple[Path, Path]) -> None:
    x = pixels(40, 18, 15, 3)
    report = rbnn_deploy.compare(both[1], network, x, layers=True)
    assert report.ok
    assert len(report.pairs) == 6
    assert all(pair.top1_agreement > 0.9 for pair in report.pairs)
    wanted = rbnn_deploy.compare(both[0], network, normalise(x, MEAN, STD), layers=True)
    assert report == wanted  # every figure: the same bits everywhere
    with pytest.raises(UserError, match=r"takes uint8 \[N, 18, 15, 3\], not float32"):
        rbnn_deploy.compare(both[1], network, normalise(x, MEAN, STD))


def test_a_flipped_bit_is_explained(network: nn.Module, tmp_path: Path) -> None:
    # Black images meet a stem without bias: its zeros lie on the threshold of the layer behind it.
    class OnThreshold(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            nn.init.zeros_(self.stem.bias)
            nn.init.ones_(self.stem.bias[:1])
            self.binary = rbnn_deploy.RotatedBinaryConv2d(8, 8, 3, padding=1, threshold="zero")

        def forward(self, x: Tensor) -> Tensor:
            return self.binary(self.stem(x)).mean((2, 3))

    torch.manual_seed(0)
    module = OnThreshold().eval()
    metadata = ModelMetadata("t", (3, 8, 8), mean=(0, 0, 0), std=(1, 1, 1))
    path = tmp_path / "model.onnx"
    rbnn_deploy.export(module, path, metadata=metadata, input_format="uint8-nhwc", check=False)
    with torch.no_grad():
        module.stem.bias[1:] -= 1e-8  # as if its stem rounded otherwise
    report = rbnn_deploy.compare(path, module, np.zeros((2, 8, 8, 3), np.uint8), runtimes=("torch", "ort"))
    assert report.ok, report.to_text()
    assert report.pairs[0].explained == 2


def test_export_notices_a_wrong_normalisation(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: onnx.ModelProto, image: InputImage) -> None:
        add_pixel_input(model, replace(image, std=(0.3, 0.3, 0.3)))

    monkeypatch.setattr(exporting, "add_pixel_input", wrong)
    with pytest.raises(UserError, match="computes something else than UsersOwnNetwork"):
        rbnn_deploy.export(network, tmp_path / "m.onnx", metadata=METADATA, input_format="uint8-nhwc")
    assert list(tmp_path.iterdir()) == []


def test_wrong_use(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot take 'uint8'; choose one of float32-nchw, uint8-nhwc"):
        rbnn_deploy.export(network, tmp_path / "m.onnx", metadata=METADATA, input_format="uint8")
    with pytest.raises(UserError, match="input_format is of images, so it needs input_shape"):
        rbnn_deploy.export(
            network,
            tmp_path / "m.onnx",
            metadata=ModelMetadata("own"),
            inputs={"x": pixels(1, 18, 15, 3)},  # of a module that takes integers
            input_format="uint8-nhwc",
        )
    wrong = replace(METADATA, input_format="nhwc")
    with pytest.raises(UserError, match="input_format must be one of"):
        rbnn_deploy.export(network, tmp_path / "m.onnx", metadata=wrong)
    with pytest.raises(UserError, match="QONNX files take normalised images"):
        api.export_qonnx(network, tmp_path / "m.onnx", metadata=replace(METADATA, input_format="uint8-nhwc"))
