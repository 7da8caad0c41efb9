"""Images by file, folder, pattern, array and standard input."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rbnn_deploy.data.sources import ImageSource, image_sources
from rbnn_deploy.errors import UserError


def no_stdin() -> bytes:
    raise AssertionError("nobody named standard input")


def pixels(source: ImageSource) -> np.ndarray:
    return np.asarray(source.read())


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, int], Path]:
    def make(name: str, value: int) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), value).save(path)
        return path

    return make


def test_a_folder_gives_its_images_sorted_and_nothing_hidden(write: Callable, tmp_path: Path) -> None:
    for name, value in (("b.png", 1), ("a/2.JPG", 2), ("a/1.webp", 3), (".hidden/x.png", 4), ("a/.x.png", 5)):
        write(name, value)
    (tmp_path / "notes.txt").write_text("no image")
    found = image_sources([str(tmp_path)], no_stdin)
    assert [source.name for source in found] == [str(tmp_path / n) for n in ("a/1.webp", "a/2.JPG", "b.png")]
    assert pixels(found[2]).tolist() == [[1] * 4] * 3


def test_patterns(write: Callable, tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "below/3.png", "4.jpg"):
        write(name, 0)
    found = image_sources([f"{tmp_path}/[12].png", f"{tmp_path}/**/3.png"], no_stdin)
    assert [Path(source.name).name for source in found] == ["1.png", "2.png", "3.png"]


def test_a_file_whose_name_looks_like_a_pattern(write: Callable) -> None:
    path = write("a[1].png", 9)
    (source,) = image_sources([str(path)], no_stdin)
    assert pixels(source)[0, 0] == 9


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("dtype", "shape", "count"),
    [
        (np.uint8, (5, 4), 1),
        (np.uint8, (5, 4, 3), 1),
        (np.uint8, (2, 5, 4, 3), 2),
        (np.float32, (3, 5, 4), 1),
        (np.float32, (2, 3, 5, 4), 2),
    ],
)
def test_arrays(dtype: type, shape: tuple[int, ...], count: int, order: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(dtype, order=order)
    np.save(tmp_path / "x.npy", array)
    content = (tmp_path / "x.npy").read_bytes()
    for found in (image_sources([str(tmp_path / "x.npy")], no_stdin), image_sources(["-"], lambda: content)):
        assert len(found) == count
        values = np.stack([pixels(source) for source in found])
        assert values.dtype == dtype
        assert (values.reshape(shape) == array).all()
    assert image_sources(["-"], lambda: content)[-1].name == "standard input" + "[1]" * (count > 1)


def test_standard_input_may_be_an_image() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), (1, 2, 3)).save(stream, "PNG")
    (source,) = image_sources(["-"], stream.getvalue)
    assert pixels(source)[0, 0].tolist() == [1, 2, 3]
    (source,) = image_sources(["-"], lambda: b"no image")
    with pytest.raises(UserError, match="cannot read image standard input: it is no whole PNG"):
        source.read()
    with pytest.raises(UserError, match="standard input is empty"):
        image_sources(["-"], lambda: b"")


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no .npy file"),
        (b"text" * 9, "is no .npy file"),
        (b"\x93NUMPY\x09\x00" + b"x" * 20, "is no .npy file"),
        (header("(" * 9000), "is no .npy file"),
        # 10^18 bytes that a header claims take no memory.
        (
            header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({10**9}, {10**9})}}"),
            "its header claims",
        ),
        (
            header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -4)}") + b"abcd",
            "its header claims",
        ),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}") + b"x" * 8, "its header claims"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)}") + b"x" * 8, "is no image"),
        (header("{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}") + b"abcd", "is no image"),
    ],
    ids=["empty", "text", "version", "nested", "huge", "negative", "object", "float64", "one axis"],
)
def test_arrays_that_are_no_images(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        image_sources([str(path)], no_stdin)


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.npy", "does not exist"), ("empty", "holds no image"), ("*.gif", "no file fits the pattern")],
)
def test_names_that_give_nothing(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=words):
        image_sources([str(tmp_path / name)], no_stdin)
