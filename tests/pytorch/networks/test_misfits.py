"""State dicts that fit no network: the refusal is one sentence, with the nearest network and the tensors."""

import pytest
import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.networks.identify import identify
from rbnn_deploy.pytorch.networks.likeness import likeness
from rbnn_deploy.pytorch.networks.other_methods import OTHER_METHODS
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES

KNOWN = {**ARCHITECTURES, **OTHER_METHODS}
# Those that have the keys and shapes of an earlier one of the table.
LOOK_ALIKES = {
    "resnet20_bireal_1w1a": "resnet20_1w1a",
    "reste_resnet20": "irnet_resnet20",
    "reste_resnet20_bireal": "irnet_resnet20",
    "reste_resnet18": "irnet_resnet18",
    "reste_resnet34": "irnet_resnet34",
    "reste_vgg_small": "irnet_vgg_small",
}


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    entry = KNOWN[name]
    with torch.device("meta"):
        module = entry.builder(entry.family.num_classes)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def refusal(tensors: dict[str, tuple[int, ...]], name: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        identify(tensors, name)
    return str(caught.value)


def nearest(name: str) -> str:
    family, _, model = name.partition("/")
    return f"{family}/{LOOK_ALIKES.get(model, model)}"


@pytest.mark.parametrize("name", KNOWN)
def test_a_renamed_layer_or_an_unknown_parameter(name: str) -> None:
    """The first layer that has a convolution's weights gets another name, or one more parameter."""
    tensors = shapes(name)
    layer = next(key for key, shape in tensors.items() if len(shape) == 4).rpartition(".")[0]
    renamed = {key.replace(f"{layer}.", "other."): shape for key, shape in tensors.items()}
    more = {**tensors, f"{layer}.act_alpha": (1,)}  # such as a 2-bit quantiser of activations keeps
    for changed, problem in (
        (renamed, f"no tensor {layer}."),
        (more, f"unknown tensor {layer}.act_alpha"),
    ):
        sentence = refusal(changed)
        assert f"does not fit {nearest(name)}, the nearest network: " in sentence
        assert problem in sentence
        assert sentence.endswith("name another network with --arch, or mend the file")


@pytest.mark.parametrize("name", KNOWN)
def test_every_layer_renamed(name: str) -> None:
    """Then the parameters of its layers tell the method."""
    tensors = {f"net_{key.replace('.', '_x.')}": shape for key, shape in shapes(name).items()}
    sentence = refusal(tensors)
    assert f"nearest, {nearest(name)}, differs by no tensor " in sentence or (
        f"does not fit {nearest(name)}, the nearest network: no tensor " in sentence
    )


def test_one_method_s_layers_in_the_network_of_another() -> None:
    """ReCU's ResNet-20 whose second layer is IR-Net's."""
    tensors = shapes("cifar10/recu_resnet20")
    for parameter in ("alpha", "tau"):
        del tensors[f"layer1.1.conv1.{parameter}"]
    assert (
        "does not fit cifar10/recu_resnet20, the nearest network: no tensor layer1.1.conv1.alpha, "
        in refusal(tensors)
    )


def test_a_named_network_is_the_one_that_is_compared_with() -> None:
    sentence = refusal(shapes("cifar10/recu_resnet20"), "adabin_resnet20")
    assert sentence.startswith("it does not fit cifar10/adabin_resnet20: no tensor nonlinear1.")
    assert sentence.endswith("name another network with --arch, or mend the file")


def test_tensors_of_something_else() -> None:
    """No network is called near to tensors that have nothing in common with it."""
    sentence = refusal({"encoder.embed.table": (30522, 768), "decoder.norm.gain": (768,)})
    assert sentence == (
        "its 2 tensors are of none of the known networks; for your own network add "
        "--module package.module:name, or use rbnn_deploy.export in Python"
    )


def test_likeness() -> None:
    a = {"conv.weight": (4, 3, 3, 3), "conv.alpha": (4, 1, 1)}
    assert likeness(a, a) == 2
    assert likeness(a, {"conv.weight": (4, 3, 3, 3), "conv.alpha": (4,)}) == 2  # but for axes of one
    assert likeness(a, {f"x.{key}": shape for key, shape in a.items()}) == 1
    assert likeness(a, {"conv.weight": (8, 3, 3, 3)}) == 0
    assert likeness(a, {}) == likeness({}, {}) == 0
