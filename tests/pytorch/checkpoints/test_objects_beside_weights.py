"""Objects that training programs keep beside the weights: read as numbers, or left out and said."""

import argparse
import collections
import datetime
import decimal
import enum
import functools
import io
import os
import pathlib
import subprocess
import types

import numpy as np
import pytest
import torch

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint


class Colour(enum.Enum):
    RED = 1


class Config(dict):
    """As EasyDict and its like are."""

    def __init__(self, **entries):
        super().__init__(entries)
        self.__dict__ = self


class Arguments(list):
    pass


Pair = collections.namedtuple("Pair", "left right")

HARMLESS = {
    "a namespace": argparse.Namespace(lr=0.1, kind=int, path=pathlib.Path("x")),
    "a namespace of types": types.SimpleNamespace(a=1),
    "a path": pathlib.PurePosixPath("a/b"),
    "a default dict": collections.defaultdict(list, a=[1]),
    "an ordered dict": collections.OrderedDict(a=1),
    "a counter": collections.Counter("aab"),
    "a queue": collections.deque([1, 2], 5),
    "a set": {1, "a"},
    "a frozen set": frozenset([(1, 2)]),
    "a complex number": 1j,
    "bytes": b"abc",
    "a byte array": bytearray(b"abc"),
    "a slice": slice(1, 2),
    "a date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "a decimal": decimal.Decimal("1.5"),
    "an enum": Colour.RED,
    "a subclass of dict": Config(a=1, b=Config(c=2)),
    "a subclass of list": Arguments([1, 2]),
    "a named tuple": Pair(1, 2),
    "a NumPy number": np.float32(1.5),
    "a NumPy array": np.arange(12.0).reshape(3, 4),
    "NumPy texts": np.array(["a", "b"]),
    "NumPy objects": np.array([{}, None], dtype=object),
    "NumPy's generator": np.random.default_rng(0),
    "NumPy's old generator": np.random.RandomState(0).get_state(),
    "a size": torch.Size([1, 2]),
    "a device": torch.device("cpu"),
    "a type": torch.float16,
    "a layer": torch.nn.Linear(2, 2),
    "a schedule": torch.optim.lr_scheduler.StepLR(torch.optim.SGD([torch.zeros(1)], 0.1), 1).state_dict(),
    "a sparse tensor": torch.eye(3).to_sparse(),
    "a huge integer": 1 << 5000,
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_objects_are_no_reason_to_refuse(kind, protocol, network, loaded):
    content = {"args": HARMLESS[kind], "state_dict": network.state_dict(), "epoch": 3}
    found = loaded(content, pickle_protocol=protocol)
    assert found.epoch == 3
    assert torch.equal(found.module.conv1.weight, network.conv1.weight)


def test_the_classes_that_were_left_out_are_named(network, loaded):
    content = {"args": argparse.Namespace(a=pathlib.PurePosixPath("x")), "model": network.state_dict()}
    assert loaded(content).notes == (
        "the weights were found as model",
        "its objects of argparse.Namespace, pathlib.PurePosixPath were left out, because loading them could "
        "run code",
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_numbers_of_numpy_are_numbers(network, loaded, legacy):
    content = {
        "epoch": np.int64(7),
        "mean": [np.float64(0.25)],
        "std": np.array([0.5], np.float32),
        "state_dict": network.state_dict(),
    }
    found = loaded(content, _use_new_zipfile_serialization=not legacy)
    assert (found.epoch, found.mean, found.std) == (7, (0.25,), (0.5,))
    assert found.notes == ()


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.25,), [2]),
        ([0.25], (2.0,)),
        (torch.tensor([0.25]), torch.tensor([2])),
        (np.array([0.25]), np.array([2], ">i2")),
    ],
)
def test_every_form_of_the_normalisation(mean, std, network, loaded):
    found = loaded({"mean": mean, "std": std, "state_dict": network.state_dict()})
    assert (found.mean, found.std) == ((0.25,), (2.0,))
    assert [type(value) for value in found.mean + found.std] == [float, float]


@pytest.mark.parametrize(
    "entry",
    [
        {"mean": [float("nan")]},
        {"mean": [True]},
        {"mean": [1 << 5000]},
        {"mean": np.zeros((1, 1))},
        {"mean": torch.zeros(2)},
        {"std": [float("inf")]},
        {"std": [0]},
        {"std": [-1.0]},
        {"std": 0.5},
        {"class_names": "abcdefghij"},
        {"class_names": (*"abcdefghi", 1)},
    ],
    ids=repr,
)
def test_values_that_no_image_can_be_normalised_with(entry, network, loaded):
    with pytest.raises(UserError, match=f"its entry '{next(iter(entry))}' must be"):
        loaded({"state_dict": network.state_dict(), **entry})


class Runs:
    """Calls a function when it is loaded by pickle."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


DANGEROUS = {
    "a command": Runs(os.system, "touch ran"),
    "a program": Runs(subprocess.Popen, ["touch", "ran"]),
    "code": Runs(eval, "open('ran', 'w')"),
    "a file": Runs(open, "ran", "w"),
    "an attribute": Runs(getattr, "", "join"),
    "a partial call": functools.partial(os.system, "touch ran"),
    "an import": Runs(__import__, "os"),
    "a method": Runs(pathlib.Path.touch, pathlib.Path("ran")),
    "a stream": Runs(io.open, "ran", "w"),
}


@pytest.mark.parametrize("place", ["beside", "weights", "inside"])
@pytest.mark.parametrize("kind", DANGEROUS)
def test_what_is_there_to_be_run_is_refused_and_does_not_run(
    kind, place, network, loaded, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    state = dict(network.state_dict())
    if place == "inside":
        state["conv1.weight"] = DANGEROUS[kind]
    content = {"state_dict": state}
    if place == "beside":
        content["args"] = DANGEROUS[kind]
    elif place == "weights":
        content = {"state_dict": DANGEROUS[kind]}
    with pytest.raises(UserError, match="would run code from the file"):
        loaded(content)
    assert not (tmp_path / "ran").exists()


def test_a_function_of_another_package_is_not_called(network, loaded, tmp_path):
    # It may be as harmful as os.system, and no list knows it.
    marker = tmp_path / "ran"
    found = loaded({"state_dict": network.state_dict(), "args": Runs(np.savetxt, str(marker), [1])})
    assert torch.equal(found.module.conv1.weight, network.conv1.weight)
    assert not marker.exists()


def test_a_file_of_python_2(tmp_path, network):
    """Its strings are bytes, and its OrderedDict is made of a list of pairs."""
    path = tmp_path / "c.pt"
    torch.save({"mark": network.state_dict()["conv1.weight"]}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    old = b"X\x04\x00\x00\x00mark"
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, b"U\x04mark"))
    with pytest.raises(UserError, match="none of the known networks"):  # it was read
        load_checkpoint(path)
