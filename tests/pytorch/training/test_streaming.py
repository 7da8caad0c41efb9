"""Images that are read while training."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from rbnn_deploy.data import load_test_images, preprocess
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.networks import ARCHITECTURES
from rbnn_deploy.pytorch.training import (
    StreamedData,
    TrainingData,
    TrainingOptions,
    TrainingRecipe,
    load_training_data,
    train,
)
from rbnn_deploy.pytorch.training.data import image_sets
from rbnn_deploy.pytorch.training.data.feeds import open_feed
from rbnn_deploy.pytorch.training.data.streaming import read_tests
from rbnn_deploy.pytorch.training.parallel import Processes

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
    source = open_feed(data, RECIPE, options, processes or Processes(), CPU)
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
    source = open_feed(streamed, RECIPE, TrainingOptions(workers=1), Processes(), CPU)
    for epoch in (0, 1, 0):
        assert_equal(list(source.train(epoch, 0)), batches(streamed, epoch))


def test_test_images_are_what_a_deployed_model_gets(streamed, folder):
    images = load_test_images(folder)
    expected = [preprocess(images.read(i), (3, 16, 16), streamed.mean, streamed.std, 20) for i in range(10)]
    for workers in (0, 2):
        source = open_feed(streamed, RECIPE, TrainingOptions(workers=workers), Processes(), CPU)
        ((x, labels),) = source.test()
        assert np.array_equal(x.numpy(), np.stack(expected))
        assert labels.tolist() == images.labels.tolist()
    shares = [open_feed(streamed, RECIPE, TrainingOptions(workers=0), Processes(r, 4), CPU) for r in range(4)]
    assert sum(len(labels) for source in shares for _, labels in source.test()) == 10


def test_images_that_do_not_fit_into_memory_are_those_that_do(folder, monkeypatch):
    held = load_training_data(folder, "cifar10/resnet20_1w1a")
    monkeypatch.setattr(image_sets, "MEMORY_SHARE", 1e-12)
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


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_a_worker_cannot_read_is_one_sentence(folder, tmp_path, workers):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    data = dataclasses.replace(load_training_data(tmp_path, IMAGENET), input_shape=(3, 16, 16), resize=20)
    for split in ("train", "val"):
        (tmp_path / split / "light" / "2.jpg").write_bytes(b"\xff\xd8 no JPEG")
    sentence = r"^cannot read image .*/2\.jpg: it is no whole .* that Pillow reads; replace or remove it$"
    with pytest.raises(UserError, match=sentence):
        batches(data, workers=workers)
    with pytest.raises(UserError, match=sentence):
        list(read_tests(data, range(10), 4, workers, CPU))


READ_IN_WORKERS = """
import sys
import torch
from rbnn_deploy.pytorch.training import TrainingOptions, TrainingRecipe, load_training_data
from rbnn_deploy.pytorch.training.data import image_sets
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.data.feeds import open_feed

if __name__ == "__main__":
    torch.multiprocessing.set_start_method(sys.argv[1])
    image_sets.MEMORY_SHARE = 0
    recipe = TrainingRecipe(epochs=1, batch_size=8, warmup_epochs=0, initial_angle=0.4, seed=3)
    data = load_training_data(sys.argv[2], "cifar10/resnet20_1w1a", 20)
    source = open_feed(data, recipe, TrainingOptions(workers=1), Processes(), torch.device("cpu"))
    print(sum(len(labels) for _, labels in source.train(0, 0)))
"""


def test_workers_that_share_no_memory_with_their_parent(folder, tmp_path):
    # Python 3.14 starts them so on Linux; earlier ones fork.
    program = tmp_path / "program.py"
    program.write_text(READ_IN_WORKERS)
    done = subprocess.run(
        [sys.executable, program, "forkserver", folder], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["16"], done.stderr


def test_the_digest_tells_files_from_others(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    data, moved = (load_training_data(place, IMAGENET) for place in (folder, tmp_path / "moved"))
    data, moved = (dataclasses.replace(each, input_shape=(3, 16, 16)) for each in (data, moved))
    digest = data.digest()
    assert moved.digest() == digest
    changed = tmp_path / "moved" / "train" / "dark" / "7.jpg"
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(changed)
    assert moved.digest() != digest


def test_a_class_without_training_images_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "val" / "light", tmp_path / "val" / "medium")
    with pytest.raises(UserError, match=r"no training images of class 'medium'; add some, or remove its"):
        load_training_data(tmp_path, IMAGENET)
    shutil.rmtree(tmp_path / "val" / "medium")
    for split in ("train", "val"):
        shutil.rmtree(tmp_path / split / "light")
    with pytest.raises(UserError, match="has one class only, 'dark'; add images of others"):
        load_training_data(tmp_path, IMAGENET)


def test_a_containers_memory_counts_as_the_machines(folder, tmp_path, monkeypatch):
    def kind():
        return type(load_training_data(folder, "cifar10/resnet20_1w1a"))

    version2, version1 = tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    monkeypatch.setattr(image_sets, "_MEMORY_LIMITS", (version2, version1))
    size = 36 * 3 * 32 * 32
    assert kind() is TrainingData  # neither file is there
    version2.write_text("max\n")
    version1.write_text(f"{2**63 - 4096}\n")
    assert kind() is TrainingData
    version1.write_text(f"{2 * size}\n")
    assert kind() is TrainingData
    version2.write_text(f"{2 * size - 1}\n")
    assert kind() is StreamedData
    version2.write_text(f"{2 * size}\n")
    assert kind() is TrainingData
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert kind() is StreamedData


def test_a_gpu_holds_what_is_free_on_it(folder, monkeypatch):
    size = 36 * 3 * 32 * 32
    for free, kind in ((2 * size, TrainingData), (2 * size - 1, StreamedData)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 100 * size))
        data = load_training_data(folder, "cifar10/resnet20_1w1a", device=torch.device("cuda"))
        assert type(data) is kind
