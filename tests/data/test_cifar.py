import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from support.cifar import PER_FILE, content_of, names_of, python2_pickle, write, write_archive

from rbnn_deploy.data import load_test_images, load_train_images
from rbnn_deploy.data.cifar import VERSIONS
from rbnn_deploy.errors import UserError


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.folder)
@pytest.mark.parametrize("form", ["folder", "parent", "archive"])
def test_every_version_in_every_form(tmp_path, version, form):
    path = tmp_path / "download.tar.gz" if form == "archive" else tmp_path
    if form == "archive":
        write_archive(version, tmp_path, path)
    else:
        folder = write(version, tmp_path)
        path = folder if form == "folder" else tmp_path
    test, train = load_test_images(path), load_train_images(path)
    for images, files in ((test, [version.test]), (train, version.train)):
        contents = [content_of(version, file) for file in files]
        assert images.class_names == names_of(version)
        assert images.labels.tolist() == np.concatenate([labels for _, labels in contents]).tolist()
        planes = np.concatenate([pixels for pixels, _ in contents])
        for index, plane in enumerate(planes):
            expected = np.stack([plane[c * 1024 : (c + 1) * 1024].reshape(32, 32) for c in range(3)], axis=-1)
            assert np.array_equal(images.read(index), expected)


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("form", [list, np.asarray])
def test_arrays_of_a_new_numpy_are_read_too(tmp_path, protocol, form):
    version = VERSIONS[0]
    folder = write(version, tmp_path)
    pixels, labels = content_of(version, version.test)
    values = {"data": np.asfortranarray(pixels), "labels": form(labels.tolist())}
    (folder / version.test).write_bytes(pickle.dumps(values, protocol))
    images = pickle.loads(pickle.dumps(load_test_images(folder)))
    assert np.array_equal(images.read(0)[..., 0], pixels[0, :1024].reshape(32, 32))
    assert images.labels.tolist() == labels.tolist()


def test_a_file_larger_than_any_of_cifar_is_not_read(tmp_path):
    folder = write(VERSIONS[0], tmp_path)
    with (folder / "test_batch").open("r+b") as file:
        file.truncate(1 << 29)  # takes no space on the disk
    with pytest.raises(UserError, match="larger than any file of CIFAR"):
        load_test_images(folder)
    member = tarfile.TarInfo("cifar-10-batches-py/test_batch")
    member.size = 1 << 29
    path = tmp_path / "cifar-10-python.tar"
    path.write_bytes(member.tobuf())
    with path.open("r+b") as file:
        file.truncate(1 << 29 | 1 << 14)
    with pytest.raises(UserError, match="larger than any file of CIFAR"):
        load_test_images(path)


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, protocol):
    folder = write(VERSIONS[0], tmp_path)
    marker = tmp_path / "ran"
    content = pickle.dumps({b"data": RunsCode(marker)}, protocol=protocol)
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(UserError, match=r"test_batch of .* is damaged \(.* is not allowed\); download"):
        load_test_images(folder)
    assert not marker.exists()
    pickle.loads(content)  # the file does what it is refused for
    assert marker.exists()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.folder)
@pytest.mark.parametrize("damage", ["truncated", "empty", "label"])
def test_damaged_files_are_named(tmp_path, version, damage):
    folder = write(version, tmp_path)
    file = folder / version.test
    content = file.read_bytes()
    if damage == "label":
        pixels, _ = content_of(version, version.test)
        if version.labels:
            content = (
                np.column_stack([np.full((PER_FILE, version.labels), 255), pixels]).astype(np.uint8).tobytes()
            )
        else:
            content = python2_pickle({b"data": pixels, version.key + b"s": [version.classes] * PER_FILE})
    file.write_bytes({"truncated": content[:-7], "empty": b"", "label": content}[damage])
    with pytest.raises(UserError, match=f"{version.test} of .* is damaged.*; download the data set again"):
        load_test_images(folder)


@pytest.mark.parametrize(
    "value", [[1, 2], {b"data": 3, b"labels": []}, {b"data": np.zeros((2, 5)), b"labels": [1, 1]}]
)
def test_pickles_of_something_else(tmp_path, value):
    folder = write(VERSIONS[0], tmp_path)
    (folder / "test_batch").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=r"test_batch of .* is damaged"):
        load_test_images(folder)


def test_a_missing_file_is_named(tmp_path):
    folder = write(VERSIONS[0], tmp_path)
    (folder / "data_batch_3").unlink()
    assert len(load_test_images(folder)) == PER_FILE
    with pytest.raises(UserError, match="has no data_batch_3; download"):
        load_train_images(folder)


def test_a_truncated_archive(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_archive(VERSIONS[0], tmp_path, path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="damaged or incomplete; download it again"):
        load_test_images(path)
