import dataclasses
import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.training import DIGITS, SHORT, digits_network, stripes_data

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, binary_layers, set_rotation_angle
from rbnn_deploy.pytorch.networks import build_network
from rbnn_deploy.pytorch.training import (
    TrainingOptions,
    default_recipe,
    evaluate,
    load_training_data,
    rotation_statistics,
    train,
)
from rbnn_deploy.pytorch.training.step.step import Step


@pytest.fixture(scope="module")
def data():
    return stripes_data()


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "new" / "folder"
    module, epochs = digits_network(), []
    start = {name: value.clone() for name, value in module.state_dict().items()}
    history = train(
        module,
        data,
        SHORT,
        out,
        architecture=DIGITS,
        options=TrainingOptions(tensorboard=False),
        on_epoch=epochs.append,
    )
    return module, start, history, out, epochs


def test_it_learns(trained, data):
    module, _, history, *_ = trained
    assert history[-1].test_accuracy > 0.9
    assert history[-1].test_accuracy == evaluate(module, data)
    assert history[-1].loss < history[0].loss
    assert not module.training


def test_everything_learns_rotations_included(trained):
    module, start, *_ = trained
    for name, value in module.state_dict().items():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, start[name]), name
    for _, layer in binary_layers(module):
        for R in (layer.R1, layer.R2):
            torch.testing.assert_close(R @ R.T, torch.eye(len(R)), rtol=0, atol=1e-4)


def test_callbacks_and_schedule(trained):
    _, _, history, _, epochs = trained
    assert epochs == history
    assert [result.epoch for result in history] == [1, 2, 3, 4]
    assert [result.k for result in history] == [max(1 / result.t, 1) for result in history]
    assert [result.t for result in history] == pytest.approx([1e-2, 10**-1.25, 10**-0.5, 10**0.25])


def test_the_last_checkpoint_is_the_module(trained, data):
    module, _, _, out, *_ = trained
    loaded = load_checkpoint(out / "last.pt")
    assert (loaded.architecture, loaded.epoch, loaded.num_classes) == (DIGITS, 4, 2)
    assert (loaded.mean, loaded.std, loaded.class_names) == (data.mean, data.std, data.class_names)
    assert all(
        torch.equal(value, module.state_dict()[key]) for key, value in loaded.module.state_dict().items()
    )


def test_the_best_checkpoint_has_the_best_accuracy(trained, data):
    _, _, history, out, *_ = trained
    best = max(history, key=lambda result: result.test_accuracy)
    assert load_checkpoint(out / "best.pt").epoch == best.epoch
    assert evaluate(load_checkpoint(out / "best.pt").module, data) == best.test_accuracy
    assert torch.load(out / "last.pt", weights_only=True)["best_prec1"] == 100 * best.test_accuracy


def test_the_log_holds_recipe_and_results(trained):
    _, _, history, out, *_ = trained
    head, *lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert head == {
        "architecture": DIGITS,
        "recipe": dataclasses.asdict(SHORT),
        "options": dataclasses.asdict(TrainingOptions(tensorboard=False)),
        "processes": 1,
    }
    assert lines == [dataclasses.asdict(result) for result in history]
    weights = [f"{name}.{suffix}" for name in ("best", "last") for suffix in ("pt", "safetensors")]
    assert sorted(path.name for path in out.iterdir()) == [*weights, "log.jsonl", "state.pt"]


def test_the_same_seed_gives_the_same_network(data):
    recipe = dataclasses.replace(SHORT, epochs=1)
    first, again, other = digits_network(), digits_network(), digits_network()
    train(first, data, recipe)
    train(again, data, recipe)
    train(other, data, dataclasses.replace(recipe, seed=1))
    # One machine, one thread count: PyTorch's CPU kernels then add in one order.
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_without_a_new_angle_the_modules_stays(data):
    module = digits_network()
    train(module, data, dataclasses.replace(SHORT, epochs=1, initial_angle=None, weight_decay=0.0))
    assert all((layer.rotate == math.pi / 2).all() for _, layer in binary_layers(module))


def test_a_diverging_training_keeps_what_was_written(data, tmp_path):
    module = digits_network()

    def poison(result):
        if result.epoch == 1:
            torch.nn.init.constant_(module.conv1.weight, math.nan)

    with pytest.raises(UserError, match="diverged in epoch 2"):
        train(module, data, SHORT, tmp_path, architecture=DIGITS, on_epoch=poison)
    assert load_checkpoint(tmp_path / "last.pt").epoch == 1


def test_a_network_of_ones_own(data, tmp_path):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        RotatedBinaryConv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 2)
    )
    history = train(module, data, dataclasses.replace(SHORT, epochs=1), tmp_path)
    assert history[0].flipped is not None
    assert torch.load(tmp_path / "last.pt", weights_only=True)["model"] == "Sequential"


def test_a_network_without_binary_layers(data):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    assert train(module, data, dataclasses.replace(SHORT, epochs=1))[0].flipped is None


def batches(x, labels):
    return [(x, labels)] * 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([{"x": torch.zeros(4, 64), "label": torch.zeros(4)}], "yielded a dict that is no pair of tensors"),
        ([(torch.zeros(4, 64), torch.zeros(4), 7)], "yielded a tuple that is no pair of tensors"),
        (batches(torch.zeros(4, 64, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)), "torch.uint8"),
        (batches(torch.zeros(4, 64), torch.zeros(4)), r"labels of type torch.float32 and shape \[4\]"),
        (batches(torch.zeros(2, 64), torch.eye(2, dtype=torch.int64)), r"shape \[2, 2\] for 2 inputs"),
        ([], "the training loader yields no batch"),
        (iter([]), "give TrainingData, or a pair"),
    ],
    ids=["dict", "three", "bytes", "float labels", "one-hot labels", "empty", "iterator"],
)
def test_loaders_that_yield_no_batches_are_refused(wrong, message):
    good = batches(torch.zeros(4, 64), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(UserError, match=message):
        train(torch.nn.Linear(64, 2), (wrong, good), dataclasses.replace(SHORT, epochs=1))


class _Shrinking(list):
    """Has a length of 4, and yields fewer batches, or more."""

    def __len__(self):
        return 4


@pytest.mark.parametrize(("count", "yielded"), [(3, "3"), (0, "0"), (5, "more")])
def test_a_loader_of_another_length_than_it_says(count, yielded):
    batch = (torch.zeros(4, 64), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(UserError, match=f"has a length of 4 and yielded {yielded} batches"):
        train(
            torch.nn.Linear(64, 2),
            (_Shrinking([batch] * count), [batch]),
            dataclasses.replace(SHORT, epochs=1),
        )


def test_an_iterable_without_a_length_is_refused():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())

    loader = torch.utils.data.DataLoader(Endless())
    with pytest.raises(UserError, match="the loader of training images has no length"):
        train(torch.nn.Linear(64, 2), (loader, loader), SHORT)


def test_small_labels_are_classes_too():
    batch = (torch.zeros(4, 64), torch.zeros(4, dtype=torch.uint8))
    history = train(torch.nn.Linear(64, 2), ([batch], [batch]), dataclasses.replace(SHORT, epochs=1))
    assert history[0].test_accuracy in (0, 1)


def test_a_network_that_cannot_be_trained_is_refused(data):
    module = digits_network()
    torch.nn.init.constant_(module.conv1.weight, math.nan)
    with pytest.raises(UserError, match="weights are not finite; initialise"):
        train(module, data, SHORT)
    with pytest.raises(UserError, match="no parameter that requires a gradient"):
        train(digits_network().requires_grad_(False), data, SHORT)


def test_volumes_train_channels_last_too():
    module = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    batch = (torch.randn(4, 1, 4, 4, 4), torch.arange(4) % 2)
    recipe = dataclasses.replace(SHORT, epochs=1)
    assert train(module, ([batch], [batch]), recipe, options=TrainingOptions(channels_last=True))


def test_a_full_disk_is_one_sentence(data, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device; free space"):
        train(digits_network(), data, SHORT, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_gpu_is_one_sentence(data, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Step, "__call__", full)
    with pytest.raises(
        UserError, match="the GPU's memory is too small for this training; use a smaller batch"
    ):
        train(digits_network(), data, SHORT)


def test_what_is_no_tensor_is_left_out_of_checkpoints(data, tmp_path):
    class Extra(torch.nn.Flatten):
        def get_extra_state(self):
            return {"version": 3}

        def set_extra_state(self, state):
            assert state == {"version": 3}

    module = torch.nn.Sequential(Extra(), torch.nn.Linear(64, 2))
    train(module, data, dataclasses.replace(SHORT, epochs=1), tmp_path)
    assert list(torch.load(tmp_path / "last.pt", weights_only=True)["state_dict"]) == ["1.weight", "1.bias"]


def test_an_interruption_leaves_a_network_in_evaluation_mode(data):
    module = digits_network()

    def interrupt(result):
        raise KeyboardInterrupt

    module.train()
    with pytest.raises(KeyboardInterrupt):
        train(module, data, SHORT, on_epoch=interrupt)
    assert not any(child.training for child in module.modules())
    assert all(isinstance(layer.sign_gradient.t, float) for _, layer in binary_layers(module))


def test_gains_start_where_there_are_some(data):
    module = torch.nn.Sequential(
        torch.nn.BatchNorm2d(1, affine=False),
        torch.nn.BatchNorm2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 2),
    )
    seen = []
    module[1].register_forward_pre_hook(lambda layer, _: seen.append(layer.weight.item()))
    train(module, data, dataclasses.replace(SHORT, epochs=1, norm_gain=0.5))
    assert seen[0] == 0.5


def test_what_cannot_be_trained_is_refused(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot use the folder"):
        train(digits_network(), data, SHORT, tmp_path / "file" / "run")
    tiny = dataclasses.replace(data, train_pixels=data.train_pixels[:1], train_labels=data.train_labels[:1])
    with pytest.raises(UserError, match="fewer than 2"):
        train(digits_network(), tiny, SHORT)


def test_statistics_of_known_weights():
    torch.manual_seed(0)
    layer = RotatedBinaryConv2d(64, 64, 3)
    set_rotation_angle(layer, 0.0)
    plain = rotation_statistics(layer)
    assert plain.flipped == 0
    # Uniform weights: E|w| / sqrt(E w^2) = sqrt(3) / 2; 64 channels of 576 weights leave 0.1 % of noise.
    assert plain.cosine_before == plain.cosine_after == pytest.approx(math.sqrt(3) / 2, rel=5e-3)
    assert plain.angle_before == plain.angle_after == pytest.approx(30, abs=0.5)
    assert plain.sine == 0
    set_rotation_angle(layer, math.pi / 2)
    # A random rotation flips every other sign; 36864 weights leave 0.3 % of noise.
    rotated = rotation_statistics(layer)
    assert rotated.flipped == pytest.approx(0.5, abs=0.02)
    assert rotated.sine == pytest.approx(1)
    # Rotated at random, they are normally distributed: E|w| / sqrt(E w^2) = sqrt(2 / pi).
    assert rotated.cosine_after == pytest.approx(math.sqrt(2 / math.pi), rel=5e-3)
    layer.update_rotation()
    assert rotation_statistics(layer).angle_after < rotated.angle_after


def test_data_of_a_folder(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(np.full((9, 9), 10 * index, np.uint8)).save(
                    tmp_path / split / name / f"{index}.png"
                )
    seen = []
    data = load_training_data(tmp_path, DIGITS, progress=lambda done, total: seen.append((done, total)))
    assert data.train_pixels.shape == (6, 8, 8, 1)
    assert data.test_pixels.shape == (4, 8, 8, 1)
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (data.class_names, data.mean, data.std) == (("ant", "bee"), (0.305,), (0.376,))
    assert seen == [(done, 10) for done in range(1, 11)]
    assert len(load_training_data(tmp_path, DIGITS, limit=2).train_labels) == 2


def test_the_digits_are_learned_in_few_epochs():
    pytest.importorskip("sklearn")
    recipe = dataclasses.replace(default_recipe(DIGITS), epochs=3)
    torch.manual_seed(0)
    module = build_network(DIGITS)
    history = train(module, load_training_data("digits", DIGITS), recipe)
    assert history[-1].test_accuracy > 0.7
