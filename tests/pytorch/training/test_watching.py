"""What can be seen of a training while it runs: progress, TensorBoard."""

import dataclasses
import importlib.machinery
import json
import math
import sys
import types
from pathlib import Path

import pytest
import torch
from support.training import SHORT, digits_network, own_network, stripes_data, stripes_loaders

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training import TrainingOptions, evaluate, train
from rbnn_deploy.pytorch.training.run import meter
from rbnn_deploy.pytorch.training.run.plot import read_run

ONE = dataclasses.replace(SHORT, epochs=1)


def test_progress_counts_steps_and_images(monkeypatch):
    monkeypatch.setattr(meter, "INTERVAL", 0.0)
    seen = []
    history = train(
        digits_network(), stripes_data(), dataclasses.replace(SHORT, epochs=2), on_progress=seen.append
    )
    assert [(p.epoch, p.step) for p in seen] == [(epoch, step) for epoch in (1, 2) for step in range(1, 11)]
    assert {(p.epochs, p.steps) for p in seen} == {(2, 10)}
    for result, last in zip(history, (seen[9], seen[19]), strict=True):
        assert (last.loss, last.accuracy) == (result.loss, result.train_accuracy)
    assert all(p.seconds_left > 0 for p in seen[:-1])
    assert seen[-1].seconds_left == 0
    assert all(p.images_per_second > 0 for p in seen)


def test_progress_is_rare(monkeypatch):
    """The numbers are read at most once in an interval, whatever the number of steps."""
    now = iter(range(10**6))
    monkeypatch.setattr(meter.time, "monotonic", lambda: 0.01 * next(now))
    seen = []
    train(digits_network(), stripes_data(), ONE, on_progress=seen.append)
    assert len(seen) == 0


def test_a_divergence_is_seen_before_the_epoch_ends(monkeypatch):
    monkeypatch.setattr(meter, "INTERVAL", 0.0)
    taken = []

    class Loader(list):
        def __iter__(self):
            for index, batch in enumerate(super().__iter__()):
                taken.append(index)
                yield batch

    train_loader, test_loader = stripes_loaders()
    batches = Loader(train_loader)
    batches[2] = (torch.full_like(batches[2][0], math.inf), batches[2][1])
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    with pytest.raises(UserError, match="diverged in epoch 1"):
        train(module, (batches, test_loader), ONE)
    assert taken == [0, 1, 2]


class FakeWriter:
    opened = None

    def __init__(self, folder, purge_step):
        FakeWriter.opened, self.folder, self.purge_step, self.scalars = self, folder, purge_step, []

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        pass


def test_tensorboard_gets_every_number(tmp_path, monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    (result,) = train(
        digits_network(), stripes_data(), ONE, tmp_path, options=TrainingOptions(tensorboard=True)
    )
    writer = FakeWriter.opened
    assert (writer.folder, writer.purge_step) == (tmp_path / "tensorboard", 1)
    expected = {name: value for name, value in dataclasses.asdict(result).items() if value is not None}
    del expected["epoch"]
    assert {name: value for name, value, _ in writer.scalars} == expected
    assert {step for *_, step in writer.scalars} == {1}


def test_tensorboard_is_needed_only_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # importing it fails
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find_spec(name)
    )
    with pytest.raises(UserError, match="pip install tensorboard"):
        train(own_network(), stripes_data(), ONE, tmp_path / "a", options=TrainingOptions(tensorboard=True))
    assert not (tmp_path / "a" / "state.pt").exists()
    train(own_network(), stripes_data(), ONE, tmp_path / "b")
    assert not (tmp_path / "b" / "tensorboard").exists()


def test_loaders_of_ones_own():
    module = own_network()
    loaders = stripes_loaders()
    history = train(module, loaders, dataclasses.replace(SHORT, epochs=4))
    assert history[-1].test_accuracy > 0.9
    assert history[-1].test_accuracy == evaluate(module, loaders)
    assert history[-1].test_top5_accuracy is None


@pytest.mark.parametrize(
    "data", [None, 3, (iter([]), iter([])), [[1]]], ids=["none", "number", "no length", "one"]
)
def test_what_is_no_data_set(data):
    with pytest.raises(UserError, match="cannot train on a"):
        train(own_network(), data, ONE)


def test_a_loader_without_batches():
    with pytest.raises(UserError, match="yields no batch"):
        train(own_network(), ([], []), ONE)


def test_a_sampler_learns_the_epoch():
    class Sampler:
        epochs = []  # noqa: RUF012 - one test's

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

    class Loader(list):
        sampler = Sampler()

    batches = Loader(stripes_loaders()[0])
    train(own_network(), (batches, batches[:1]), dataclasses.replace(SHORT, epochs=3))
    assert Sampler.epochs == [0, 1, 2]


def test_a_run_has_the_name_of_its_folder_wherever_it_is_read_from(tmp_path, monkeypatch):
    line = {"epoch": 1, "loss": 0.5, "train_accuracy": 0.5, "test_accuracy": 0.5}
    head = {"architecture": "own", "recipe": {"epochs": 1}}
    (tmp_path / "log.jsonl").write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n")
    monkeypatch.chdir(tmp_path)
    assert {read_run(Path(path)).name for path in (".", "log.jsonl", tmp_path)} == {tmp_path.name}
