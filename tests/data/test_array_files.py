"""Arrays by name in somebody's .npz or .npy file, and files that are none."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rbnn_deploy.data.array_files import MOST_ARRAYS, read_arrays
from rbnn_deploy.errors import UserError


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path: Path, save) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.random((3, 4), np.float32),
        "b.c": np.arange(6).reshape(3, 2),
        "t": np.asfortranarray(rng.random((3, 5))),
    }
    save(tmp_path / "x.npz", **arrays)
    found = read_arrays(tmp_path / "x.npz", ["t", "a", "b.c"])
    assert list(found) == ["t", "a", "b.c"]
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    np.save(tmp_path / "x.npy", arrays["a"])
    assert np.array_equal(read_arrays(tmp_path / "x.npy", ["input"])["input"], arrays["a"])


def npy(array: np.ndarray, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def claiming(count: int) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(16)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds nothing, and not a"),
        ({"b.npy": npy(np.zeros(3)), "c.npy": npy(np.zeros(3))}, "holds b, c, and not a"),
        ({"a.npy": b"text"}, r"\[a\] is no .npy file"),
        ({"a.npy": npy(np.zeros(3))[:-1]}, "header claims"),
        ({"a.npy": npy(np.array([{}], object), allow_pickle=True)}, "header claims"),
        ({"a.npy": claiming(10**13)}, "header claims"),
        ({f"{i}.npy": b"" for i in range(MOST_ARRAYS + 1)}, "more than 1000"),
    ],
    ids=["empty", "others", "damaged", "short", "objects", "huge", "many"],
)
def test_archives_that_are_no_inputs(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=message):
        read_arrays(path, ["a"])


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(UserError, match="does not exist"):
        read_arrays(path, ["a"])
    np.savez_compressed(path, a=np.random.default_rng(0).random(1000))
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:-9], whole[:100] + b"\xff" * 50 + whole[150:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"holds no arrays of NumPy|is no .npy file|header claims"):
            read_arrays(path, ["a"])


def test_a_claimed_size_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.npy", "b.npy"):
            archive.writestr(name, npy(np.zeros(8)))
    content = bytearray(path.read_bytes())
    where = -1
    for _ in range(2):
        where = content.index(b"PK\x01\x02", where + 1)
        content[where + 24 : where + 28] = (0xFFFFFFF0).to_bytes(4, "little")  # the uncompressed size
    path.write_bytes(content)
    with pytest.raises(UserError, match="larger than 4 GB"):
        read_arrays(path, ["a"])
