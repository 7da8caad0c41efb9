"""What training programs save around a state dict, and put into its keys."""

import argparse
import copy
import dataclasses

import pytest
import torch
from support.training import SHORT, digits_network, stripes_data

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint, save_checkpoint, save_safetensors
from rbnn_deploy.pytorch.networks import build_network
from rbnn_deploy.pytorch.training import TrainingOptions, train

DIGITS = "digits/resnet8_1w1a"


def same(loaded, network):
    """Whether a checkpoint gave the very weights of a network."""
    state = network.state_dict()
    return loaded.module.state_dict().keys() == state.keys() and all(
        torch.equal(value, state[key]) for key, value in loaded.module.state_dict().items()
    )


def prefixed(network, prefix):
    return {prefix + key: value for key, value in network.state_dict().items()}


def other_weights(network):
    return {
        key: value + 1 if value.is_floating_point() else value for key, value in network.state_dict().items()
    }


PREFIXES = {
    "module.module.": "'module.module.'",
    "_orig_mod.": "'_orig_mod' was taken out",
    "module._orig_mod.": "'module.'",
    "_orig_mod.module.": "'module.'",
    "model.": "'model.'",
    "model._orig_mod.module.": "'model.module.'",
    "net.": "'net.'",
    "student.": "under 'student.' were taken, and 0 others",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_all_keys_is_taken_off(prefix, network, loaded):
    found = loaded({"state_dict": prefixed(network, prefix), "epoch": 3})
    assert same(found, network)
    assert (found.architecture, found.epoch) == (DIGITS, 3)
    assert PREFIXES[prefix] in " ".join(found.notes)


def test_plain_checkpoints_need_no_note(network, loaded):
    assert loaded(network.state_dict()).notes == ()
    assert loaded({"state_dict": network.state_dict(), "epoch": 3}).notes == ()


def test_a_part_that_was_compiled(network, loaded):
    state = {
        f"layer1._orig_mod.{key.removeprefix('layer1.')}" if key.startswith("layer1.") else key: value
        for key, value in network.state_dict().items()
    }
    assert same(loaded(state), network)


def test_names_that_differ_by_the_compiler_only(network, loaded):
    state = network.state_dict()
    with pytest.raises(UserError, match=r"differ by torch\.compile's name only"):
        loaded({**state, "_orig_mod.conv1.weight": state["conv1.weight"]})


KEYS = ["model", "net", "network", "model_state_dict", "state_dict", "model_state", "weights"]


@pytest.mark.parametrize("key", KEYS)
def test_the_usual_names_of_the_weights(key, network, loaded):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    found = loaded({"epoch": 4, "optimizer": optimizer.state_dict(), key: network.state_dict()})
    assert same(found, network)
    assert found.epoch == 4
    assert (key in " ".join(found.notes)) == (key != "state_dict")


def test_weights_under_a_name_that_nobody_knows(network, loaded):
    found = loaded({"epoch": 4, "my_weights": network.state_dict(), "optimizer": {"state": {}}})
    assert same(found, network)
    assert found.notes == ("the weights were found as my_weights",)
    with pytest.raises(UserError, match=r"it has 2 state dicts \(mine, yours\)"):
        loaded({"mine": network.state_dict(), "yours": network.state_dict()})


def test_a_state_dict_in_several_dicts(network, loaded):
    content = {
        "model": {"state_dict": prefixed(network, "module."), "mean": [0.25]},
        "epoch": 2,
        "std": [2.0],
    }
    found = loaded(content)
    assert same(found, network)
    assert (found.epoch, found.mean, found.std) == (2, (0.25,), (2.0,))


def test_lightnings_file(network, loaded):
    state = {**prefixed(network, "model."), "loss.weight": torch.ones(10), "ema_model.x": torch.ones(1)}
    content = {
        "epoch": 2,
        "global_step": 50,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {},
        "optimizer_states": [{}],
        "hyper_parameters": argparse.Namespace(lr=0.1),
    }
    found = loaded(content)
    assert same(found, network)
    assert "under 'model.' were taken, and 2 others left out" in found.notes[0]


@pytest.mark.parametrize("key", ["ema", "model_ema", "state_dict_ema"])
def test_an_average_beside_the_weights(key, network, loaded):
    found = loaded({"state_dict": network.state_dict(), key: other_weights(network)})
    assert same(found, network)
    assert found.notes == (f"the moving average (EMA) of the weights, {key!r}, was left out",)
    alone = loaded({"epoch": 1, key: network.state_dict()})
    assert same(alone, network)
    assert f"moving average (EMA) that it has as {key!r}" in alone.notes[1]


def test_an_average_among_the_weights(network, loaded):
    average = {f"model_ema.{key}": value for key, value in other_weights(network).items()}
    found = loaded({"state_dict": {**average, **prefixed(network, "model.")}})
    assert same(found, network)


def test_two_networks_in_one_state_dict(network, loaded):
    with pytest.raises(UserError, match=r"under student\., teacher\. are a network each"):
        loaded({**prefixed(network, "student."), **prefixed(network, "teacher.")})


def test_batch_norms_of_old_versions(network, loaded):
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert len(state) < len(network.state_dict())
    found = loaded(state)
    assert {
        key: value for key, value in found.module.state_dict().items() if key in state
    }.keys() == state.keys()
    assert all(torch.equal(found.module.state_dict()[key], value) for key, value in state.items())
    assert "num_batches_tracked" in found.notes[0]


def test_the_counts_of_a_profiler(network, loaded):
    counts = {
        f"{name}.{count}".lstrip("."): torch.zeros(1, dtype=torch.float64)
        for name, _ in network.named_modules()
        for count in ("total_ops", "total_params")
    }
    found = loaded({**network.state_dict(), **counts})
    assert same(found, network)
    assert found.notes == (f"{len(counts)} counts of a profiler (total_ops, total_params) were left out",)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_said(dtype, network, loaded):
    found = loaded(copy.deepcopy(network).to(dtype).state_dict())
    assert {p.dtype for p in found.module.parameters()} == {torch.float32}
    expected = copy.deepcopy(network).to(dtype).float()
    assert same(found, expected)
    name = str(dtype).removeprefix("torch.")
    assert found.notes == (f"the weights are {name}, and are computed in float32",)


@pytest.mark.parametrize("shell", ["compiled", "parallel", "part"])
def test_our_own_files_have_plain_names(shell, network, tmp_path):
    wrapped = copy.deepcopy(network)
    if shell == "compiled":
        wrapped = torch.compile(wrapped)
    elif shell == "parallel":
        wrapped = torch.nn.DataParallel(wrapped)
    else:
        wrapped.layer1 = torch.compile(wrapped.layer1)
    entries = {"epoch": 1, "best_accuracy": 1.0}
    save_checkpoint(tmp_path / "c.pt", wrapped, DIGITS, **entries)
    save_safetensors(tmp_path / "c.safetensors", wrapped, DIGITS, **entries)
    for name in ("c.pt", "c.safetensors"):
        found = load_checkpoint(tmp_path / name)
        assert same(found, network)
        assert found.notes == ()
    assert torch.load(tmp_path / "c.pt")["state_dict"].keys() == network.state_dict().keys()


@pytest.mark.parametrize("name", ["model", "state_dict"])
def test_a_whole_module_in_a_dict_is_named(name, network, loaded):
    with pytest.raises(UserError, match=f"its '{name}' is a whole .*digits.ResNet8, whose code is not run"):
        loaded({name: network, "epoch": 3})


def test_state_beside_tensors_is_left_out(network, loaded):
    assert same(loaded({**network.state_dict(), "bn1._extra_state": {"a": 1}}), network)


def test_what_fits_nothing_is_explained_as_before(loaded):
    with pytest.raises(UserError, match="none of the known networks"):
        loaded({"model.weight": torch.zeros(3), "other.bias": torch.zeros(3)})
    state = build_network(DIGITS).state_dict()
    state["conv1.weight"] = torch.zeros(3, 1, 3, 3)
    with pytest.raises(UserError, match=r"conv1\.weight has shape \[3, 1, 3, 3\], not"):
        loaded({f"module.{key}": value for key, value in state.items()})


def test_what_train_writes_of_a_compiled_network(tmp_path):
    compiled = torch.compile(digits_network(), backend="eager")
    options = TrainingOptions(tensorboard=False)
    train(compiled, stripes_data(), dataclasses.replace(SHORT, epochs=1), tmp_path, options=options)
    for name in ("last.pt", "last.safetensors"):
        found = load_checkpoint(tmp_path / name)
        assert same(found, compiled._orig_mod)
        assert (found.architecture, found.notes) == (DIGITS, ())
    assert torch.load(tmp_path / "last.pt")["architecture"] == "ResNet8"
