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
