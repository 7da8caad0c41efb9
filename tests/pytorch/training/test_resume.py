"""A training that is interrupted, by kill -9 at any moment, ends with the bits of one that was not."""

import dataclasses
import json
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import support.training as support_training
import torch
from support.training import DIGITS, SHORT, digits_network, own_network, stripes_data, stripes_loaders

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training import TrainingOptions, train
from rbnn_deploy.pytorch.training.run.results import TIMINGS


def run_and_die(out, *arguments):
    """Trains in a process of its own, which is killed."""
    command = [sys.executable, support_training.__file__, str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def run_here():
    """Trains in this process: whole, or after another one was killed."""
    threads = torch.get_num_threads()
    yield lambda *arguments: support_training.main([str(argument) for argument in arguments])
    torch.set_num_threads(threads)  # the training has set them to what all others have


def log(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]


def position(out):
    state = torch.load(out / "state.pt", weights_only=True)
    return state["epoch"], state["step"]


def assert_same(first, second):
    assert log(first) == log(second)
    for name in ("last.pt", "best.pt"):
        a, b = (torch.load(out / name, weights_only=True) for out in (first, second))
        assert a["epoch"] == b["epoch"]
        assert a["best_prec1"] == b["best_prec1"]
        assert a["state_dict"].keys() == b["state_dict"].keys()
        for key, value in a["state_dict"].items():
            assert torch.equal(value, b["state_dict"][key]), (name, key)
    assert (first / "last.safetensors").read_bytes() == (second / "last.safetensors").read_bytes()


def test_killed_three_times_and_resumed(tmp_path, run_here):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_here(whole)
    run_and_die(broken, "--kill-at", "15")  # of 10 steps an epoch
    assert position(broken) == (1, 3)
    assert len(log(broken)) == 2
    # From step 3 of the second epoch: states after its steps 6 and 9, then half of last.pt at its end.
    run_and_die(broken, "--resume", "--kill-in-write", "3")
    assert position(broken) == (1, 9)
    assert len(log(broken)) == 2
    assert list(broken.glob(".last.pt.*.partial"))
    # A step into the third epoch: its state is that of the second's end.
    run_and_die(broken, "--resume", "--kill-at", "3")
    assert position(broken) == (2, 0)
    run_here(broken, "--resume")
    assert_same(whole, broken)
    assert sorted(path.name for path in broken.iterdir()) == sorted(path.name for path in whole.iterdir())


@pytest.mark.parametrize("generator", ["global", "own"])
def test_loaders_and_a_network_that_draw_random_numbers(tmp_path, run_here, generator):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_here(whole, "--loaders", generator)
    run_and_die(broken, "--loaders", generator, "--kill-at", "18")
    assert position(broken) == (1, 6)
    run_here(broken, "--loaders", generator, "--resume")
    assert_same(whole, broken)


def test_other_generators_are_refused(tmp_path):
    recipe = dataclasses.replace(SHORT, epochs=1)
    train(own_network(), stripes_loaders(torch.Generator().manual_seed(0)), recipe, tmp_path)
    with pytest.raises(UserError, match=f"cannot continue the training in {tmp_path}: .*other generators"):
        train(own_network(), stripes_loaders(), recipe, tmp_path, resume=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A finished training of one epoch."""
    out = tmp_path_factory.mktemp("begun")
    recipe = dataclasses.replace(SHORT, epochs=1)
    history = train(digits_network(), stripes_data(), recipe, out, architecture=DIGITS)
    return out, recipe, history


def test_a_finished_training_is_only_loaded(begun):
    out, recipe, history = begun
    module = own_network()
    with pytest.raises(UserError, match="architecture"):
        train(module, stripes_data(), recipe, out, resume=True)
    module = digits_network()
    assert train(module, stripes_data(), recipe, out, architecture=DIGITS, resume=True) == history
    trained = torch.load(out / "last.pt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, trained[key]) for key, value in module.state_dict().items())
    assert not module.training


def test_a_training_without_a_step_is_begun_again(tmp_path):
    recipe = dataclasses.replace(SHORT, epochs=1)
    diverging = dataclasses.replace(recipe, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(UserError, match="diverged"):
        train(digits_network(), stripes_data(), diverging, tmp_path, architecture=DIGITS)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    assert len(train(digits_network(), stripes_data(), recipe, tmp_path, architecture=DIGITS)) == 1


def test_overwriting_leaves_nothing_of_the_old_training(begun, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(begun[0], out)
    (out / ".last.safetensors.abc.partial").touch()
    (out / "notes.txt").touch()

    diverging = dataclasses.replace(begun[1], learning_rate=1e30)
    with pytest.raises(UserError, match="diverged"):
        train(digits_network(), stripes_data(), diverging, out, architecture=DIGITS, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "state.pt"]


def test_a_folder_with_a_training_is_not_overwritten(begun):
    out, recipe, _ = begun
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UserError, match=r"holds a training already; continue it with --resume"):
        train(digits_network(), stripes_data(), recipe, out, architecture=DIGITS)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.2}, r"begun with learning_rate 0\.1, and this is 0\.2"),
        ({"epochs": 5}, "begun with epochs 1, and this is 5"),
        ({"initial_angle": None}, r"begun with initial_angle 0\.4, and this is None"),
    ],
)
def test_another_recipe_is_refused(begun, change, message):
    out, recipe, _ = begun
    with pytest.raises(UserError, match=f"cannot continue the training in {out}: it was {message}"):
        train(
            digits_network(),
            stripes_data(),
            dataclasses.replace(recipe, **change),
            out,
            architecture=DIGITS,
            resume=True,
        )


def test_other_images_are_refused(begun):
    out, recipe, _ = begun
    pixels = stripes_data().train_pixels.clone()
    pixels[5, 3, 3, 0] ^= 1
    others = {
        "other images": dataclasses.replace(stripes_data(), train_pixels=pixels),
        "classes 2, and this is 3": dataclasses.replace(stripes_data(), class_names=("a", "b", "c")),
        "classes 2, and this is None": stripes_loaders(),
    }
    for words, data in others.items():
        with pytest.raises(UserError, match=f"begun with {words}"):
            train(digits_network(), data, recipe, out, architecture=DIGITS, resume=True)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "another version"])
def test_states_that_cannot_be_read(begun, tmp_path, kind):
    out, recipe, _ = begun
    (tmp_path / "last.pt").touch()
    state = tmp_path / "state.pt"
    content = (out / "state.pt").read_bytes()
    if kind == "another version":
        torch.save({**torch.load(out / "state.pt", weights_only=True), "version": 0}, state)
    elif kind != "missing":
        state.write_bytes({"empty": b"", "text": b"state", "truncated": content[:-1000]}[kind])
    with pytest.raises(UserError, match=r"to resume from|is damaged|another version"):
        train(digits_network(), stripes_data(), recipe, tmp_path, architecture=DIGITS, resume=True)


def test_nothing_to_resume_begins(tmp_path):
    recipe = dataclasses.replace(SHORT, epochs=1)
    out = tmp_path / "new"
    assert len(train(own_network(), stripes_data(), recipe, out, resume=True)) == 1


def test_what_diverges_is_not_saved(tmp_path):
    # Its first layer takes a NaN further; the sign of a binary one does not.
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    batches = [(x, labels) for x, labels in stripes_loaders()[0]]
    batches[4] = (torch.full_like(batches[4][0], math.nan), batches[4][1])
    options = TrainingOptions(checkpoint_every=2, tensorboard=False)
    with pytest.raises(UserError, match="diverged in epoch 1; lower the learning rate"):
        train(module, (batches, batches[:1]), SHORT, tmp_path, options=options)
    assert position(tmp_path) == (0, 4)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert all(value.isfinite().all() for value in state["module"].values())
    assert [path.name for path in Path(tmp_path).iterdir()] == ["state.pt"]
