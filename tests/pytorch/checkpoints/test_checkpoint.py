import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from support.paths import REFERENCE, needs_reference

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint, save_checkpoint, save_safetensors
from rbnn_deploy.pytorch.layers import binary_layers
from rbnn_deploy.pytorch.layers.signs import sample_mean
from rbnn_deploy.pytorch.networks import ARCHITECTURES, build_network

CHECKPOINT = REFERENCE / "resnet20_bireal_1w1a.pth.tar"
DIGITS = "digits/resnet8_1w1a"
ENTRIES = {"epoch": 7, "best_accuracy": 98.5, "mean": (0.25,), "std": (0.5,)}


@pytest.fixture(scope="module")
def digits():
    torch.manual_seed(0)
    return build_network(DIGITS).eval()


def saved(path, content, **kwargs):
    torch.save(content, path, **kwargs)
    return path


def zeros_like_network(name, classes=None):
    """A state dict without the cost of random weights."""
    with torch.device("meta"):
        shapes = build_network(name, classes).state_dict()
    return {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}


def test_what_was_saved_comes_back(tmp_path, digits):
    path = tmp_path / "digits.pt"
    names = [f"digit {i}" for i in range(10)]
    save_checkpoint(path, digits, DIGITS, **ENTRIES, class_names=names)
    loaded = load_checkpoint(path)
    assert (loaded.architecture, loaded.num_classes, loaded.input_shape) == (DIGITS, 10, (1, 8, 8))
    assert (loaded.mean, loaded.std, loaded.resize, loaded.epoch) == ((0.25,), (0.5,), None, 7)
    assert loaded.class_names == tuple(names)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.unused_keys == ()
    assert not loaded.module.training
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded.module(x), digits(x))


def test_our_checkpoints_have_the_references_entries(tmp_path, digits):
    save_checkpoint(tmp_path / "c.pt", digits, DIGITS, **ENTRIES, seed=3)
    content = torch.load(tmp_path / "c.pt", weights_only=True)
    assert content["epoch"] == 7
    assert content["model"] == "resnet8_1w1a"
    assert content["best_prec1"] == 98.5
    assert content["seed"] == 3
    assert content["state_dict"].keys() == digits.state_dict().keys()


def test_loading_leaves_the_random_generator_alone(tmp_path, digits):
    path = saved(tmp_path / "c.pt", digits.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_checkpoint(path)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_bare_state_dicts_and_parallel_prefixes(tmp_path, digits, prefix, legacy):
    state = {prefix + key: value for key, value in digits.state_dict().items()}
    path = saved(tmp_path / "c.pt", state, _use_new_zipfile_serialization=not legacy)
    loaded = load_checkpoint(path)
    assert loaded.architecture == DIGITS
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.module.parameters(), digits.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if "resnet20" not in name])
def test_every_network_is_told_from_its_tensors(tmp_path, name):
    loaded = load_checkpoint(saved(tmp_path / "c.pt", zeros_like_network(name)))
    assert loaded.architecture == name
    assert loaded.num_classes == ARCHITECTURES[name].family.num_classes


def test_one_model_name_that_two_networks_have(tmp_path):
    for name in ("cifar10/resnet18_1w1a", "imagenet/resnet18_1w1a"):
        state = {"model": "resnet18_1w1a", "state_dict": zeros_like_network(name, 20)}
        loaded = load_checkpoint(saved(tmp_path / "c.pt", state))
        assert (loaded.architecture, loaded.num_classes) == (name, 20)


def test_unused_keys_of_the_reference_are_named(tmp_path):
    state = zeros_like_network("imagenet/resnet18_1w1a")
    state |= {"bn3.weight": torch.ones(1000), "bn3.bias": torch.ones(1000)}
    assert load_checkpoint(saved(tmp_path / "c.pt", state)).unused_keys == ("bn3.weight", "bn3.bias")


def test_hundred_classes_bring_their_own_normalisation(tmp_path):
    state = zeros_like_network("cifar100/resnet20_1w1a")
    loaded = load_checkpoint(saved(tmp_path / "c.pt", {"model": "resnet20_1w1a", "state_dict": state}))
    assert loaded.architecture == "cifar100/resnet20_1w1a"
    assert loaded.mean == (0.507, 0.487, 0.441)


def test_networks_with_the_same_tensors_need_a_name(tmp_path):
    path = saved(tmp_path / "c.pt", zeros_like_network("cifar10/resnet20_1w1a"))
    with pytest.raises(
        UserError, match="resnet20_1w1a and resnet20_bireal_1w1a alike; say which with --arch"
    ):
        load_checkpoint(path)
    for arch in ("resnet20_bireal_1w1a", "cifar10/resnet20_bireal_1w1a"):
        assert load_checkpoint(path, arch).architecture == "cifar10/resnet20_bireal_1w1a"


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused(tmp_path, kind):
    marker = tmp_path / "ran"
    path = tmp_path / "c.pt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": RunsCode(marker)}))
    else:
        saved(path, {"state_dict": RunsCode(marker)}, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(UserError, match=r"run.* code"):
        load_checkpoint(path)
    assert not marker.exists()
    with path.open("rb") as stream:  # the file does what it is refused for
        pickle.load(stream) if kind == "pickle" else torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_whole_module_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"torch\.nn\.modules\.linear\.Linear would run code.*state dict"):
        load_checkpoint(saved(tmp_path / "c.pt", torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("lost", [1, 100, 5000])
def test_a_truncated_file_is_called_incomplete(tmp_path, digits, lost, legacy):
    path = saved(tmp_path / "c.pt", digits.state_dict(), _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(UserError, match="damaged or incomplete"):
        load_checkpoint(path)


@pytest.mark.parametrize("length", [1, 2, 10, 200])
def test_the_start_of_a_file_is_refused(tmp_path, digits, length):
    path = saved(tmp_path / "c.pt", digits.state_dict())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"damaged|not a checkpoint"):
        load_checkpoint(path)


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(UserError, match=r"file does not exist"):
        load_checkpoint(path)
    with pytest.raises(UserError, match=r"is a folder"):
        load_checkpoint(tmp_path)
    path.touch()
    with pytest.raises(UserError, match=r"is empty"):
        load_checkpoint(path)
    path.write_text("a text file\n" * 50)
    with pytest.raises(UserError, match=r"is not a checkpoint"):
        load_checkpoint(path)
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UserError, match=r"is not a checkpoint"):
        load_checkpoint(path)
    with pytest.raises(UserError, match=r"holds a list, not a checkpoint"):
        load_checkpoint(saved(path, [1, 2]))
    with pytest.raises(UserError, match=r"no state dict"):
        load_checkpoint(saved(path, {"state_dict": {}}))
    with pytest.raises(UserError, match=r"'epoch' of its state dict is no tensor"):
        load_checkpoint(saved(path, {"epoch": 3}))
    with pytest.raises(UserError, match="none of the known networks; for your own network"):
        load_checkpoint(saved(path, torch.nn.Linear(2, 2).state_dict()))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read every file")
def test_an_unreadable_file(tmp_path):
    path = tmp_path / "c.pt"
    path.touch(mode=0o000)
    with pytest.raises(UserError, match="cannot read"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("conv1.weight"), r"no tensor conv1\.weight"),
        (
            lambda s: s.update({"conv1.weight": torch.zeros(3, 1, 3, 3)}),
            r"conv1\.weight has shape \[3, 1, 3, 3\], not \[32,",
        ),
        (lambda s: s.update({"surplus": torch.zeros(1)}), "unknown tensor surplus"),
        (lambda s: s.update({"linear.bias": torch.zeros(9)}), r"linear\.bias has shape \[9\], not \[10\]"),
        (
            lambda s: s["layer1.conv1.alpha"].fill_(float("nan")),
            r"layer1\.conv1\.alpha holds values that are not finite",
        ),
        (lambda s: s["conv1.weight"].fill_(float("inf")), r"conv1\.weight holds values that are not finite"),
        (lambda s: s["bn1.running_var"].fill_(-1), r"bn1\.running_var holds negative variances"),
        (
            lambda s: s.update({"bn1.bias": torch.zeros(32, dtype=torch.complex64)}),
            r"bn1\.bias is no plain tensor",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_state_dict_that_does_not_fit_is_explained(tmp_path, digits, edit, message):
    state = {key: value.clone() for key, value in digits.state_dict().items()}
    edit(state)
    with pytest.raises(UserError, match=message):
        load_checkpoint(saved(tmp_path / "c.pt", state))


def test_only_the_first_problems_are_listed(tmp_path, digits):
    path = saved(tmp_path / "c.pt", digits.state_dict())
    with pytest.raises(UserError, match=r"vgg_small_1w1a: no tensor conv0.weight, .* and \d+ more"):
        load_checkpoint(path, "vgg_small_1w1a")
    with pytest.raises(UserError, match="no network is called 'alexnet'; choose one of"):
        load_checkpoint(path, "alexnet")


@pytest.mark.parametrize(
    "entry", [{"class_names": ["one"]}, {"class_names": 3}, {"mean": [0.1, 0.2]}, {"std": "x"}]
)
def test_damaged_entries_are_refused(tmp_path, digits, entry):
    with pytest.raises(UserError, match=f"its entry '{next(iter(entry))}' must be"):
        load_checkpoint(saved(tmp_path / "c.pt", {"state_dict": digits.state_dict(), **entry}))


def test_half_precision_is_widened(tmp_path, digits):
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in digits.state_dict().items()
    }
    loaded = load_checkpoint(saved(tmp_path / "c.pt", state))
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}


@needs_reference
def test_reference_checkpoint_gives_the_references_logits():
    loaded = load_checkpoint(CHECKPOINT)
    assert (loaded.architecture, loaded.num_classes, loaded.epoch) == ("cifar10/resnet20_bireal_1w1a", 10, 12)
    on_threshold = set()  # samples with an activation that equals its mean: 0 in the reference, +1 here

    def find(_, inputs):
        on_threshold.update((inputs[0] == sample_mean(inputs[0])).nonzero()[:, 0].tolist())

    for _, layer in binary_layers(loaded.module):
        layer.register_forward_pre_hook(find)
    with np.load(REFERENCE / "expected.npz") as expected:
        x, logits = torch.from_numpy(expected["x"]), torch.from_numpy(expected["logits"])
    with torch.no_grad():
        got = loaded.module(x)
    others = [i for i in range(len(x)) if i not in on_threshold]
    assert len(others) >= len(x) - 2
    # The stem, the pooling and the last layer sum in float32, in an order that is the machine's.
    torch.testing.assert_close(got[others], logits[others], rtol=0, atol=2e-5)
    assert torch.equal(got.argmax(1), logits.argmax(1))


@needs_reference
def test_reference_checkpoint_gives_the_references_layers_exactly():
    module = load_checkpoint(CHECKPOINT).module
    with np.load(REFERENCE / "expected.npz") as expected, torch.no_grad():
        for name, layer in binary_layers(module):
            x, y = (torch.from_numpy(expected[f"layer/{name}/{end}"]) for end in ("input", "output"))
            assert torch.equal(layer(x), y), name


@pytest.fixture
def safetensors_file(tmp_path, digits):
    pytest.importorskip("safetensors")
    path = tmp_path / "digits.safetensors"
    save_safetensors(path, digits, DIGITS, **ENTRIES, class_names=[f"digit {i} é" for i in range(10)])
    return path


def test_safetensors_come_back(tmp_path, digits, safetensors_file):
    loaded = load_checkpoint(safetensors_file)
    assert (loaded.architecture, loaded.num_classes, loaded.epoch) == (DIGITS, 10, 7)
    assert (loaded.mean, loaded.std) == ((0.25,), (0.5,))
    assert loaded.class_names == tuple(f"digit {i} é" for i in range(10))
    for key, value in digits.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[key], value), key
    again = tmp_path / "again.safetensors"
    save_safetensors(again, digits, DIGITS, **ENTRIES, class_names=[f"digit {i} é" for i in range(10)])
    assert again.read_bytes() == safetensors_file.read_bytes()


def test_other_programs_read_the_safetensors(digits, safetensors_file):
    library = pytest.importorskip("safetensors")
    with library.safe_open(safetensors_file, "pt") as file:
        assert set(file.keys()) == digits.state_dict().keys()
        assert file.metadata()["architecture"] == DIGITS
        assert file.metadata()["mean"] == "[0.25]"
        assert torch.equal(file.get_tensor("linear.bias"), digits.linear.bias)


def test_safetensors_of_others_need_no_metadata(tmp_path, digits):
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "plain"
    library.save_file(digits.state_dict(), path)
    loaded = load_checkpoint(path)
    assert (loaded.architecture, loaded.epoch, loaded.class_names) == (DIGITS, None, None)


@pytest.mark.parametrize("damage", ["cut", "header", "metadata", "names"])
def test_damaged_safetensors_are_refused(safetensors_file, damage):
    data = safetensors_file.read_bytes()
    changed = {
        "cut": data[:-100],
        "header": data[:8] + b"{" + data[20:],
        "metadata": data.replace(b'"epoch":"7"', b'"epoch":"{"'),
        "names": data.replace(b'"mean":"[0.25]"', b'"mean":"[null]"'),
    }[damage]
    assert changed != data
    safetensors_file.write_bytes(changed)
    with pytest.raises(UserError, match=r"damaged|not a checkpoint|must be 1 numbers"):
        load_checkpoint(safetensors_file)


def test_weights_with_two_names_are_saved_under_both(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    module[1].weight = module[0].weight
    save_safetensors(tmp_path / "tied.safetensors", module, "Sequential", epoch=1, best_accuracy=0.0)
    state = library.load_file(tmp_path / "tied.safetensors")
    assert torch.equal(state["0.weight"], state["1.weight"])
    save_checkpoint(tmp_path / "tied.pt", module, "Sequential", epoch=1, best_accuracy=0.0)
    content = torch.load(tmp_path / "tied.pt", weights_only=True)
    assert len(content["parameters"]) == 3
    assert "mean" not in content
