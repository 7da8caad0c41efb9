import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rbnn_deploy.data import LabelledImages, load_test_images, load_train_images, preprocess
from rbnn_deploy.errors import UserError


def save(path, value, size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def values(images):
    return [int(np.asarray(images.read(i)).max()) for i in range(len(images))]


@pytest.mark.parametrize("split", ["test", "val", "."])
def test_image_folders(tmp_path, split):
    save(tmp_path / split / "cat" / "b.png", 20)
    save(tmp_path / split / "cat" / "a.png", 10)
    save(tmp_path / split / "ant" / "z.PNG", 30)
    (tmp_path / split / "cat" / "notes.txt").touch()
    (tmp_path / split / "cat" / ".hidden.png").touch()
    (tmp_path / split / "empty").mkdir()
    images = load_test_images(tmp_path)
    assert images.class_names == ("ant", "cat")
    assert images.labels.tolist() == [0, 1, 1]
    assert images.labels.dtype == np.int64
    assert values(images) == [30, 10, 20]
    assert images.name_of(1).endswith("a.png")


def test_splits_share_their_classes(tmp_path):
    for name, value in (
        ("train/ant/1.png", 1),
        ("train/bee/1.png", 2),
        ("train/cat/1.png", 3),
        ("test/cat/1.png", 4),
    ):
        save(tmp_path / name, value)
    train, test = load_train_images(tmp_path), load_test_images(tmp_path)
    assert (values(train), values(test)) == ([1, 2, 3], [4])
    assert test.class_names == train.class_names == ("ant", "bee", "cat")
    assert test.labels.tolist() == [2]


def test_training_images_are_never_the_test_images(tmp_path):
    save(tmp_path / "ant" / "1.png", 1)
    assert len(load_test_images(tmp_path)) == 1
    with pytest.raises(UserError, match=r"has no folder train; add train/<class>/ and test/<class>/$"):
        load_train_images(tmp_path)


@contextlib.contextmanager
def closed_to_me(path):
    """Takes all rights to a file or folder away, those of a superuser too; its parents are not asked."""
    path.chmod(0)
    user = os.geteuid()
    with contextlib.chdir(path.parent):
        if user == 0:
            Path().chmod(0o755)
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)
            path.chmod(0o755)


@pytest.mark.parametrize(
    ("closed", "root"), [("data", "data"), ("data/train", "."), ("data/train/cat", "..")]
)
def test_a_folder_that_may_not_be_read(tmp_path, closed, root):
    for name in ("ant", "cat"):
        save(tmp_path / "data" / "train" / name / "1.png", 1)
    with (
        closed_to_me(tmp_path / closed),
        pytest.raises(UserError, match=f"cannot read .*{Path(closed).name}.*: Permission denied; check"),
    ):
        load_train_images(root)


def test_an_archive_that_may_not_be_read(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    path.touch()
    with (
        closed_to_me(path),
        pytest.raises(UserError, match=r"read cifar-10-python.tar.gz: Permission denied"),
    ):
        load_test_images(path.name)


def test_a_class_whose_name_is_no_text(tmp_path):
    save(tmp_path / "test" / os.fsdecode(b"caf\xe9") / "1.png", 1)
    with pytest.raises(UserError, match=r"class folder b'caf\\xe9' in .* is not UTF-8; rename it") as caught:
        load_test_images(tmp_path)
    str(caught.value).encode()  # can be printed


def test_classes_and_files_in_other_scripts(tmp_path):
    save(tmp_path / "test" / "café" / "ä.png", 1)
    (tmp_path / "test" / "café" / os.fsdecode(b"\xff.png")).write_bytes(
        (tmp_path / "test/café/ä.png").read_bytes()
    )
    images = load_test_images(tmp_path)
    assert images.class_names == ("café",)
    assert values(images) == [1, 1]


def test_images_go_to_other_processes(tmp_path):
    pytest.importorskip("sklearn")
    for name in ("ant", "cat"):
        for index in range(3):
            save(tmp_path / "test" / name / f"{index}.png", index)
    for images in (load_test_images(tmp_path), load_test_images(tmp_path, 4), load_test_images("digits", 7)):
        there = pickle.loads(pickle.dumps(images))
        assert values(there) == values(images)
        assert there.labels.tolist() == images.labels.tolist()
        assert [there.name_of(i) for i in range(len(there))] == [
            images.name_of(i) for i in range(len(images))
        ]


def test_stamps_are_of_the_file_and_not_of_its_place(tmp_path):
    for place in ("here", "there"):
        for name in ("ant", "cat"):
            save(tmp_path / place / "test" / name / "1.png", 1)
    here, there = (load_test_images(tmp_path / place) for place in ("here", "there"))
    size = (tmp_path / "here/test/cat/1.png").stat().st_size
    assert here.stamp_of(1) == there.stamp_of(1) == f"cat/1.png {size}"
    assert here.subset(1).stamp_of(0) == here.stamp_of(0) == f"ant/1.png {size}"
    (tmp_path / "here/test/cat/1.png").unlink()
    with pytest.raises(UserError, match=r"1\.png: No such file"):
        here.stamp_of(1)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_format_that_is_read_counts(tmp_path, split):
    for index, suffix in enumerate(("png", "jpg", "webp", "WEBP", "bmp", "gif", "ppm", "tif", "tiff")):
        save(tmp_path / split / "cat" / f"{index}.{suffix}", 50 + index)
    images = load_train_images(tmp_path) if split == "train" else load_test_images(tmp_path)
    colours = [np.asarray(images.read(i).convert("RGB")) for i in range(len(images))]
    assert len(colours) == 9
    assert all(abs(pixels.astype(int) - 50 - i).max() < 4 for i, pixels in enumerate(colours))  # JPEG rounds


def test_images_that_are_not_read_are_not_left_out_in_silence(tmp_path):
    save(tmp_path / "train" / "cat" / "1.png", 50)
    (tmp_path / "train" / "cat" / "2.HEIC").touch()
    with pytest.raises(UserError, match=r"2\.HEIC is of a format that is not read here; convert all \.heic"):
        load_train_images(tmp_path)


def test_jpeg_files_are_found_in_every_spelling(tmp_path):
    for index, suffix in enumerate((".jpg", ".jpeg", ".JPEG", ".JPG")):
        save(tmp_path / "val" / f"class{index}" / f"image{suffix}", 50)
    assert len(load_test_images(tmp_path)) == 4


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist; name a folder of images"):
        load_test_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no images"):
        load_test_images(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(UserError, match="no whole CIFAR archive"):
        load_test_images(tmp_path / "file")
    save(tmp_path / "val" / "cat" / "a.png", 1)
    with pytest.raises(UserError, match="has a folder val, but no train"):
        load_train_images(tmp_path)


def test_an_unreadable_image_is_named_when_it_is_read(tmp_path):
    save(tmp_path / "cat" / "a.png", 1)
    (tmp_path / "cat" / "b.png").write_text("no image")
    images = load_test_images(tmp_path)
    assert values(images.subset(1)) == [1]
    with pytest.raises(UserError, match=r"b\.png"):
        images.read(1)


def test_no_program_outside_reads_an_image(tmp_path, monkeypatch):
    # Pillow gives EPS to a program called gs; this one leaves a trace.
    program, trace = tmp_path / "bin" / "gs", tmp_path / "trace"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    folder = tmp_path / "test" / "ant"
    save(folder / "photo.png", 5)
    (folder / "eps.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    )
    Image.open(folder / "photo.png").save(folder / "webp.png", "WEBP")
    Image.open(folder / "photo.png").save(folder / "jpeg.png", "JPEG")
    images = load_test_images(tmp_path)
    with pytest.raises(UserError, match=r"\.png: it is no whole PNG, JPEG, .* or WEBP that Pillow reads;"):
        images.read(0)
    assert [images.read(index).format for index in (1, 2, 3)] == ["JPEG", "PNG", "WEBP"]
    assert not trace.exists()


def test_labels_follow_the_networks_classes(tmp_path):
    for name in ("cat", "ant"):
        save(tmp_path / name / "a.png", 1)
    images = load_test_images(tmp_path, class_names=["dog", "cat", "ant"])
    assert images.labels.tolist() == [2, 1]
    assert images.class_names == ("dog", "cat", "ant")
    with pytest.raises(UserError, match=r"no class 'ant' \(it has dog"):
        load_test_images(tmp_path, class_names=["dog", "cat"])


def numbered(labels):
    labels = np.asarray(labels, np.int64)
    return LabelledImages(labels, ("a", "b", "c"), lambda i: np.full((2, 2), i, np.uint8), str)


def test_a_subset_is_balanced_and_spread():
    images = numbered([0, 1, 2] * 40).subset(12)
    assert np.bincount(images.labels).tolist() == [4, 4, 4]
    assert values(images) == [0, 30, 60, 90, 1, 31, 61, 91, 2, 32, 62, 92]
    assert [images.name_of(i) for i in (0, 4)] == ["0", "1"]


def test_a_subset_of_all_keeps_the_order():
    images = numbered([2, 0, 1])
    assert values(images.subset(None)) == values(images.subset(3)) == values(images.subset(99)) == [0, 1, 2]
    for limit in (0, -1):
        with pytest.raises(UserError, match="at least 1"):
            images.subset(limit)


def test_batches_hold_every_image_once():
    images = numbered([0, 1, 2, 0, 1])
    batches = list(images.batches(2, lambda image: preprocess(image, (1, 2, 2))))
    assert [x.shape for x, _ in batches] == [(2, 1, 2, 2), (2, 1, 2, 2), (1, 1, 2, 2)]
    x = np.concatenate([x for x, _ in batches])
    assert np.array_equal(x[:, 0, 0, 0], np.arange(5, dtype=np.float32) / np.float32(255))
    assert np.concatenate([y for _, y in batches]).tolist() == [0, 1, 2, 0, 1]


def test_pixels_are_of_one_size(tmp_path):
    save(tmp_path / "ant" / "a.png", 7, (5, 9))
    save(tmp_path / "ant" / "b.png", 8, (3, 3))
    seen = []
    pixels = load_test_images(tmp_path).pixels((3, 4, 4), progress=lambda done, of: seen.append((done, of)))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.stack([np.full((4, 4, 3), value) for value in (7, 8)]))
    assert seen == [(1, 2), (2, 2)]


def test_digits_are_split_into_disjoint_balanced_parts():
    pytest.importorskip("sklearn")
    train, test = load_train_images("digits"), load_test_images("digits")
    assert (len(train), len(test)) == (1438, 359)
    assert set(map(train.name_of, range(len(train)))).isdisjoint(map(test.name_of, range(len(test))))
    assert np.bincount(test.labels).min() >= 34
    assert test.class_names == tuple("0123456789")
    assert test.pixels((1, 8, 8)).max() == 255
    assert np.asarray(test.read(0)).dtype == np.uint8


def test_a_folder_called_digits_comes_before_the_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "digits" / "one" / "a.png", 1)
    assert load_test_images("digits").class_names == ("one",)
