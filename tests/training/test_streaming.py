"""Images that are read while training."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from rbnn_deploy.data import load_test_images, preprocess
from rbnn_deploy.errors import UserError
from rbnn_deploy.networks import ARCHITECTURES
from rbnn_deploy.training import (
    StreamedData,
    TrainingData,
    TrainingOptions,
    TrainingRecipe,
    load_training_data,
    train,
)
from rbnn_deploy.training import data as data_module
from rbnn_deploy.training.parallel import Processes
from rbnn_deploy.training.sources import open_source

CPU = torch.device("cpu")
RECIPE = TrainingRecipe(epochs=1, batch_size=8, warmup_epochs=0, initial_angle=0.4, seed=3)
IMAGENET = "imagenet/resnet18_1w1a"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    rng = np.random.default_rng(0)
    for split, count in (("train", 13), ("val", 5)):
        for label, name in enumerate(("dark", "light")):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                height, width = rng.integers(30, 80, 2)
                pixels = rng.integers(100 * label, 100 * label + 100, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.jpg")
    return root


@pytest.fixture
def streamed(folder):
    """ImageNet's way, at a size that a test can afford."""
    data = load_training_data(folder, IMAGENET)
    assert isinstance(data, StreamedData)
    assert (data.input_shape, data.resize, data.class_names) == ((3, 224, 224), 256, ("dark", "light"))
    return dataclasses.replace(data, input_shape=(3, 16, 16), resize=20)


def batches(data, epoch=0, start=0, workers=0, processes=None):
    options = TrainingOptions(workers=workers)
    source = open_source(data, RECIPE, options, processes or Processes(), CPU)
    return list(source.train(epoch, start))


def assert_equal(first, second):
    assert len(first) == len(second)
    for (x, labels), (y, others) in zip(first, second, strict=True):
        assert torch.equal(x, y)
        assert torch.equal(labels, others)


def test_neither_workers_nor_the_place_of_the_start_change_the_images(streamed):
    whole = batches(streamed, epoch=1)
    assert [tuple(x.shape) for x, _ in whole] == [(8, 3, 16, 16)] * 3
    assert_equal(batches(streamed, epoch=1, workers=2), whole)
    assert_equal(batches(streamed, epoch=1, start=2), whole[2:])
    other = batches(streamed, epoch=2)
    assert not torch.equal(other[0][0], whole[0][0])


def test_the_processes_share_the_images(streamed):
    parts = [batches(streamed, processes=Processes(rank, 2)) for rank in range(2)]
    joined = [(torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]])) for a, b in zip(*parts, strict=True)]
    assert_equal(joined, batches(streamed))


def test_workers_read_epoch_after_epoch(streamed):
    source = open_source(streamed, RECIPE, TrainingOptions(workers=1), Processes(), CPU)
    for epoch in (0, 1, 0):
        assert_equal(list(source.train(epoch, 0)), batches(streamed, epoch))


def test_test_images_are_what_a_deployed_model_gets(streamed, folder):
    images = load_test_images(folder)
    expected = [preprocess(images.read(i), (3, 16, 16), streamed.mean, streamed.std, 20) for i in range(10)]
    for workers in (0, 2):
        source = open_source(streamed, RECIPE, TrainingOptions(workers=workers), Processes(), CPU)
        ((x, labels),) = source.test()
        assert np.array_equal(x.numpy(), np.stack(expected))
        assert labels.tolist() == images.labels.tolist()
    shares = [
        open_source(streamed, RECIPE, TrainingOptions(workers=0), Processes(r, 4), CPU) for r in range(4)
    ]
    assert sum(len(labels) for source in shares for _, labels in source.test()) == 10


def test_images_that_do_not_fit_into_memory_are_those_that_do(folder, monkeypatch):
    held = load_training_data(folder, "cifar10/resnet20_1w1a")
    monkeypatch.setattr(data_module, "MEMORY_SHARE", 1e-12)
    streamed = load_training_data(folder, "cifar10/resnet20_1w1a")
    assert isinstance(held, TrainingData)
    assert isinstance(streamed, StreamedData)
    assert streamed.resize is None
    assert_equal(batches(streamed, epoch=4, workers=1), batches(held, epoch=4))


def test_a_network_learns_from_files(streamed, tmp_path):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    recipe = dataclasses.replace(RECIPE, epochs=3, learning_rate=0.01)
    history = train(module, streamed, recipe, tmp_path / "run", options=TrainingOptions(workers=1))
    assert history[-1].test_accuracy == 1.0
    moved = dataclasses.replace(streamed, test=streamed.train)
    with pytest.raises(UserError, match="other images"):
        train(module, moved, recipe, tmp_path / "run", resume=True)


def test_the_reading_of_imagenet_needs_no_more_than_its_family():
    assert [name for name, entry in ARCHITECTURES.items() if entry.family.resize is not None] == [
        IMAGENET,
        "imagenet/resnet34_1w1a",
    ]
