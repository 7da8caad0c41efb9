"""Generated C of whole networks: the same bits as NumPy at every binary layer, and in the logits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.generated_c import build, needs_compiler
from support.networks import UsersOwnNetwork, randomise

from rbnn_deploy import export, load_model
from rbnn_deploy.data.preprocessing import normalise
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.operators import GENERAL_BINARY_CONV2D, OPERATORS
from rbnn_deploy.pytorch.networks import OTHER_METHODS
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime

pytestmark = needs_compiler
# ImageNet's networks on smaller images: the same layers, 12 times fewer pixels.
SIZES = {"imagenet": (3, 64, 64)}


def exported(name: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    if name == "embedded":
        return EMBEDDED_MODEL
    if name == "own":
        export(randomise(UsersOwnNetwork(), seed=2), path, input_shape=(3, 32, 32), check=False)
        return path
    architecture = (ARCHITECTURES | OTHER_METHODS)[name]
    family = architecture.family
    shape = SIZES.get(family.name, family.input_shape)
    metadata = ModelMetadata(name, shape, family.num_classes, family.mean, family.std)
    network = architecture.builder(family.num_classes)
    export(randomise(network, seed=2), path, metadata=metadata, check=False)
    return path


# cifar100's networks are cifar10's with another head.
NETWORKS = [name for name in ARCHITECTURES if not name.startswith("cifar100/")]
# Other people's, with how many GeneralBinaryConv2d each has.
OTHERS = {
    "cifar10/irnet_resnet20": 0,
    "cifar10/adabin_resnet20": 18,
    "cifar10/binarynet_vgg": 0,
    "cifar10/xnor_nin": 7,
    "cifar10/recu_resnet20": 0,
    "cifar10/siman_resnet20": 18,
    "cifar10/siman_vgg_small": 2,
    "imagenet/recu_resnet18": 0,
    "imagenet/birealnet18": 0,
    "imagenet/reactnet_resnet18": 16,
}
# Of ours, the networks of ReActNet's blocks have some.
GENERAL = OTHERS | {"embedded": 18, "cifar10/resnet20_react_1w1a": 18}


@pytest.mark.parametrize("name", ["embedded", "own", *NETWORKS, *OTHERS])
def test_every_binary_layer_and_the_logits_have_numpys_bits(name: str, tmp_path: Path) -> None:
    path = exported(name, tmp_path)
    model = build(path, tmp_path, ("cc", "-O2"))
    nodes = [node for node in onnx.load(path).graph.node if node.op_type in OPERATORS]
    layers = [node.output[0] for node in nodes]
    assert len(layers) >= 4
    assert sum(node.op_type == GENERAL_BINARY_CONV2D for node in nodes) == GENERAL.get(name, 0)
    x = np.random.default_rng(3).standard_normal((1, *model.result.program.input_shape), np.float32)
    runtime = NumpyRuntime(path, in_order=True)
    judge = runtime.run_with(x, [*layers, runtime.signature.outputs[0].name])
    logits, values = model.run(x[0])
    for layer in layers:
        assert np.array_equal(values[layer], judge[layer].ravel()), layer
    assert np.array_equal(logits, judge[runtime.signature.outputs[0].name].ravel())


def test_pixels_give_what_normalised_pixels_give(tmp_path: Path) -> None:
    model = build(EMBEDDED_MODEL, tmp_path)
    metadata = load_model(EMBEDDED_MODEL).metadata
    pixels = np.random.default_rng(4).integers(0, 256, (32, 32, 3), np.uint8)
    logits, _ = model.run(normalise(pixels, metadata.mean, metadata.std))
    assert np.array_equal(model.run_image(pixels), logits)


def test_the_order_of_float_sums_moves_logits_by_rounding_only(tmp_path: Path) -> None:
    """The stem and the head are summed in another order by ONNX Runtime.

    27 and 64 products of magnitude 1 err by some 1e-6; a flipped bit, which would move logits by about 0.1,
    does not occur with these images.
    """
    model = build(EMBEDDED_MODEL, tmp_path)
    x = np.random.default_rng(5).standard_normal((4, 3, 32, 32), np.float32)
    ort = load_model(EMBEDDED_MODEL).run(x)
    assert np.abs(ort - np.stack([model.run(image)[0] for image in x])).max() < 1e-4


def test_memory_and_weights_of_the_embedded_network(tmp_path: Path) -> None:
    """Its largest map is 64 kB; that map, its bits and three windows are all that live at once."""
    result = build(EMBEDDED_MODEL, tmp_path).result
    assert result.arena_bytes == 65536 + 27 * 4 + 2048 + 3 * 5 * 4
    assert result.weight_bytes < 53_000


def test_a_second_run_repeats_the_first(tmp_path: Path) -> None:
    model = build(EMBEDDED_MODEL, tmp_path)
    one, other = np.random.default_rng(6).standard_normal((2, 3, 32, 32), np.float32)
    first = model.run(one)[0]
    assert not np.array_equal(model.run(other)[0], first)
    assert np.array_equal(model.run(one)[0], first)
