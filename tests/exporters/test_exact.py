"""Networks whose float layers have int8 weights and exact sums: the same bits in every runtime."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from support.networks import randomise
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.errors import UserError
from rbnn_deploy.exactness import is_exact
from rbnn_deploy.exporters.onnx import BuiltModel, build_model
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pixel_input import add_pixel_input
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, RotatedBinaryLinear
from rbnn_deploy.pytorch.networks import ARCHITECTURES
from rbnn_deploy.pytorch.networks.other_methods import OTHER_METHODS
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.value_histograms import value_histograms

RUNTIMES = ("ort", "ort-portable", "numpy")


class Network(nn.Module):
    """A binary layer between a stem and a head; what the stem gives is an output too."""

    def __init__(self, stem: nn.Module, head: nn.Module, channels: int = 16) -> None:
        super().__init__()
        self.stem, self.head = stem, head
        self.binary = RotatedBinaryConv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        return {"stem": x, "logits": self.head(F.hardtanh(self.binary(x) + x))}


class Shortcut(nn.Module):
    """A layer whose output is added to what it reads, with a mean in front of the one beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.main = nn.Sequential(nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16))
        self.beside = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        return F.relu(self.main(x) + self.beside(x))


class MeanReadTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3))
        return F.relu(self.first(mean)) + self.second(mean)


def conv(stride: int = 1, **options: int) -> nn.Conv2d:
    return nn.Conv2d(3, 16, 3, stride, padding=1, **options)


def mean_head() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


# What the network is called: its stem, its head, and how many QuantConv2d nodes it has.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], int]] = {
    "imagenet": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.MaxPool2d(3, 2, 1), nn.Hardtanh()
        ),
        mean_head,
        2,
    ),
    "relu in front of the pool": (
        lambda: nn.Sequential(conv(), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        mean_head,
        2,
    ),
    "pool that does not fit": (
        lambda: nn.Sequential(conv(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        mean_head,
        2,
    ),
    "relu6": (lambda: nn.Sequential(conv(2), nn.ReLU6()), mean_head, 2),
    "grouped and depthwise": (
        lambda: nn.Sequential(
            conv(2), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16), nn.PReLU(16),
            nn.Conv2d(16, 16, (1, 3), groups=4),
        ),
        mean_head,
        4,
    ),
    "shortcut": (Shortcut, mean_head, 4),
    "flattened map": (
        lambda: nn.Sequential(conv(4), nn.ReLU()),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(576, 5)),
        2,
    ),
    "several layers behind": (
        lambda: nn.Sequential(conv(2), nn.Hardtanh()),
        lambda: nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(),
            nn.Linear(24, 5, bias=False),
        ),
        3,
    ),
    "mean read twice": (lambda: nn.Sequential(conv(2), nn.Hardtanh()), MeanReadTwice, 3),
    "padded means": (
        lambda: nn.Sequential(conv(), nn.AvgPool2d(3, 2, 1)),
        lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Hardtanh(), mean_head()),
        2,
    ),
    "mean of a mean": (
        lambda: nn.Sequential(conv(), nn.AvgPool2d(2)),
        lambda: nn.Sequential(nn.AvgPool2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        1,
    ),
}  # fmt: skip


def images(count: int, size: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, size, size), np.float32)


def build(module: nn.Module, size: int = 24, **options: bool) -> BuiltModel:
    measure = partial(value_histograms, batches=[images(8, size), images(3, size, seed=1)])
    return build_model(module, ModelMetadata("exact", (3, size, size)), measure=measure, **options)


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    stem, head, _ = NETWORKS[name]
    return randomise(Network(stem(), head()), seed=0)


def saved(built: BuiltModel, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(built.model, path)
    return path


def check_equal(path: Path, x: np.ndarray, runtimes: tuple[str, ...] = RUNTIMES) -> dict[str, np.ndarray]:
    """Runs a model in every runtime; returns the outputs."""
    found = [load_model(path, runtime).run_outputs(x) for runtime in runtimes]
    for other in found[1:]:
        for name, value in found[0].items():
            np.testing.assert_array_equal(value, other[name])
    return found[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_all_shapes_are_exact(name: str, tmp_path: Path) -> None:
    module = made(name)
    built = build(module)
    count = Counter(node.op_type for node in built.model.graph.node)
    assert count["QuantConv2d"] == NETWORKS[name][2] == len(built.int8_layers)
    assert is_exact(built.model)
    x = images(7, seed=2)
    outputs = check_equal(saved(built, tmp_path), x)
    with torch.no_grad():
        stem = module(torch.from_numpy(x))["stem"].numpy()
    # Images beyond the calibration's are cut off; about 1 % of the range is what 8 bits leave.
    assert np.abs(outputs["stem"] - stem).mean() < 0.01 * np.ptp(stem)
    assert np.abs(outputs["stem"] - stem).max() > 0
    again = {name: [] for name in outputs}
    loaded = load_model(tmp_path / "model.onnx")
    for one in x:
        for key, value in loaded.run_outputs(one[None]).items():
            again[key].append(value)
    for key, values in again.items():
        np.testing.assert_array_equal(np.concatenate(values), outputs[key])


@pytest.mark.parametrize(
    "name",
    [
        *("cifar10/resnet20_bireal_1w1a", "cifar10/resnet20_react_1w1a", "cifar10/vgg_small_1w1a"),
        *("cifar10/resnet18_1w1a", "cifar10/recu_resnet20", "cifar10/adabin_resnet20", "cifar10/xnor_nin"),
        "imagenet/resnet18_1w1a",
    ],
)
def test_known_networks_are_exact_with_every_batch_and_number_of_threads(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    family = (known := {**ARCHITECTURES, **OTHER_METHODS}[name]).family
    module = randomise(known.builder(family.num_classes), seed=1)
    x = np.random.default_rng(0).standard_normal((7, *family.input_shape), np.float32)
    measure = partial(value_histograms, batches=[x[:2]])
    built = build_model(module, ModelMetadata(name, family.input_shape), measure=measure)
    path = saved(built, tmp_path)
    want = check_equal(path, x if family.input_shape[1] < 100 else x[:2])["logits"]
    for threads in (1, 2, 3):
        loaded = load_model(path, threads=threads)
        np.testing.assert_array_equal(loaded.run(x)[: len(want)], want)
        np.testing.assert_array_equal(np.concatenate([loaded.run(one[None]) for one in x[:2]]), want[:2])


def test_every_kernel_gives_the_same_logits(kernel: str, tmp_path: Path) -> None:
    path = saved(build(made("imagenet")), tmp_path)
    x = images(3, seed=2)
    want = load_model(path, "numpy").run_outputs(x)
    for name, value in load_model(path).run_outputs(x).items():
        np.testing.assert_array_equal(value, want[name])


def test_the_stem_takes_its_batch_norm_activation_and_pool(tmp_path: Path) -> None:
    built = build(made("imagenet"))
    first = built.model.graph.node[0]
    assert (first.op_type, first.input[0]) == ("QuantConv2d", "input")
    values = {a.name: onnx.helper.get_attribute_value(a) for a in first.attribute}
    assert values["layout"] == b"channels_first"
    assert values["activation"] == b"hardtanh"
    assert values["pool_kernel"] == [3, 3]
    notes = {(note.layer, note.text) for note in built.notes}
    assert ("stem.0", "int8 weights and exact sums, with MaxPool, Clip") in notes
    assert ("stem.0", "reads its channels-first input itself") in notes


def test_a_shortcut_reads_the_mean_itself_and_adds_the_other_branch() -> None:
    built = build(made("shortcut"))
    assert [node.op_type for node in built.model.graph.node].count("Add") == 0
    residuals = [node.input[5] for node in built.model.graph.node if node.op_type == "QuantConv2d"]
    assert sum(name != "no_residual" for name in residuals) == 1


def test_a_network_of_any_size_is_exact(tmp_path: Path) -> None:
    built = build(made("imagenet"), dynamic_size=True)
    path = saved(built, tmp_path)
    for height, width in ((24, 24), (31, 45)):
        x = np.random.default_rng(0).standard_normal((2, 3, height, width), np.float32)
        check_equal(path, x)


def test_pixels_are_exact_too(tmp_path: Path) -> None:
    built = build(made("imagenet"))
    metadata = ModelMetadata("exact", (3, 24, 24), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    add_pixel_input(built.model, metadata.image)
    assert is_exact(built.model)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)
    check_equal(saved(built, tmp_path), pixels)


class Perceptron(nn.Module):
    """Rows and sequences: float layers that are products."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.binary = nn.Linear(24, 32), RotatedBinaryLinear(32, 32)
        self.between, self.head = nn.Linear(32, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.inside(x.flatten(1, 2)))  # [N, 72, 24] -> [N, 72, 32]
        x = F.relu(self.between(self.binary(x)))
        return self.head(x[:, 0])


def test_products_of_rows_and_sequences_are_exact(tmp_path: Path) -> None:
    torch.manual_seed(0)
    built = build(randomise(Perceptron(), seed=0))
    count = Counter(node.op_type for node in built.model.graph.node)
    assert count["QuantConv2d"] == 3
    assert count["Transpose"] == 0
    check_equal(saved(built, tmp_path), images(3))


class Rows(nn.Module):
    """A product with rows, and something behind it that is no map per output channel."""

    def __init__(self, behind: Callable[[Tensor], Tensor], outputs: int) -> None:
        super().__init__()
        self.stem, self.binary = nn.Conv2d(3, 8, 3, padding=1), RotatedBinaryConv2d(8, 8, 3, padding=1)
        self.rows, self.behind = nn.Linear(8, outputs, bias=False), behind

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        rows = self.behind(self.rows(x.flatten(2).transpose(1, 2)))
        return {"rows": rows, "logits": self.binary(x)}


@pytest.mark.parametrize("outputs", [36, 5])
@pytest.mark.parametrize("kind", ["norm of tokens", "more axes"])
def test_what_is_no_map_per_channel_stays_behind_rows(kind: str, outputs: int, tmp_path: Path) -> None:
    """BatchNorm1d has its channels in another axis than Linear; and a constant can add axes."""
    torch.manual_seed(0)
    factor = torch.randn(1, 1, 1, outputs)
    behind = nn.BatchNorm1d(36) if kind == "norm of tokens" else lambda x: (x * factor)[0]
    module = randomise(Rows(behind, outputs), seed=0)
    x = images(8, 6)
    path = saved(build(module, 6), tmp_path)
    with torch.no_grad():
        want = module(torch.from_numpy(x))["rows"].numpy()
    # ONNX Runtime fuses the float steps of a binary layer's function, and nothing rounds them here again.
    found = check_equal(path, x, ("ort", "numpy"))["rows"]
    assert np.abs(found - want).mean() < 0.01 * np.ptp(want)


def test_a_constant_that_adds_an_axis_to_rows_stays_behind_them(tmp_path: Path) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.factor = nn.Linear(16, 5), nn.Parameter(torch.randn(1, 1, 5))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.linear(x.mean((2, 3))) * self.factor).reshape(-1, 5)

    torch.manual_seed(0)
    module = randomise(Network(nn.Sequential(conv(), nn.Hardtanh()), Head()), seed=0)
    check_equal(saved(build(module), tmp_path), images(3))


def test_bits_between_layers_keep_the_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = OTHER_METHODS["cifar10/binarynet_vgg"]
    module = randomise(architecture.builder(10), seed=0)
    x = images(2, 32)
    outputs = []
    for bits in (False, True):
        built = build(module, 32, bits_between_layers=bits)
        path = saved(built, tmp_path)
        outputs.append(load_model(path).run(x))
    assert "PackedBinaryConv2d" in {node.op_type for node in built.model.graph.node}
    np.testing.assert_array_equal(*outputs)


def test_what_depends_on_the_processor_is_refused() -> None:
    module = Network(nn.Sequential(conv(), nn.Sigmoid()), mean_head())
    with pytest.raises(UserError, match=r"Sigmoid stem\.1 cannot give the same values on every processor"):
        build(module.eval())


def test_sums_beyond_int32_are_refused() -> None:
    module = Network(
        nn.Sequential(conv(), nn.Hardtanh()),
        nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(16 * 72 * 72, 2)),
    )
    with pytest.raises(UserError, match=r"head\.2 cannot have int8 weights, because a sum of 82944 products"):
        build(module.eval(), 72)


def test_weights_that_are_no_numbers_are_refused() -> None:
    module = Network(nn.Sequential(conv(), nn.Hardtanh()), mean_head()).eval()
    with torch.no_grad():
        module.stem[0].weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(UserError, match=r"stem\.0.* not finite"):
        build(module)


def test_images_that_are_no_numbers_are_refused() -> None:
    module = Network(nn.Sequential(conv(), nn.Hardtanh()), mean_head()).eval()
    bad = images(2)
    bad[1, 0, 3, 3] = np.nan
    with pytest.raises(UserError, match=r"calibration images give stem\.0 values that are not finite"):
        build_model(
            module, ModelMetadata("exact", (3, 24, 24)), measure=partial(value_histograms, batches=[bad])
        )


def test_calibration_needs_a_network_of_images(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.binary, self.head = RotatedBinaryConv2d(3, 8, 3), nn.Linear(13, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.head(torch.cat([self.binary(x).mean((2, 3)), y], 1))

    with pytest.raises(UserError, match="Two takes no images"):
        rbnn_deploy.export(
            Two(),
            tmp_path / "model.onnx",
            inputs={"x": (3, 8, 8), "y": (5,)},
            float_layers="exact",
            calibration=tmp_path,
        )
