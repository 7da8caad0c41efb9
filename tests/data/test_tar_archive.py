"""Archives that would take minutes or gigabytes: one sentence each, soon, in little memory."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cifar import write, write_archive

from rbnn_deploy.data import load_test_images
from rbnn_deploy.data.cifar import VERSIONS
from rbnn_deploy.data.tar_archive import DamagedArchiveError, read_members
from rbnn_deploy.errors import UserError

# NumPy, onnx and ONNX Runtime reserve about 1.5 GiB of addresses; the files below asked for up to 6 GB.
ADDRESSES = 3 << 30
SECONDS = 120  # each of them takes a few at most, some took minutes


def header(name: str = "x", size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def many_members(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(20):
            file.write(header() * 10_000)


def chain_of_long_names(path: Path) -> None:
    block = header("././@LongLink", 1, tarfile.GNUTYPE_LONGNAME) + b"a".ljust(512, b"\0")
    path.write_bytes(gzip.compress(block * 5000))


def long_name(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header("././@LongLink", 3 << 30, tarfile.GNUTYPE_LONGNAME))
        for _ in range(520):
            file.write(bytes(1 << 20))


def long_extended_header(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header("pax", 1 << 30, tarfile.XHDTYPE))
        for _ in range(520):
            file.write(bytes(1 << 20))


def huge_member(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header("cifar-10-batches-py/readme.html", 3 << 30))
        for _ in range(520):
            file.write(bytes(1 << 20))


def negative_size(path: Path) -> None:
    block = bytearray(header("cifar-10-batches-py/test_batch"))
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(block) * 4)


def pipe(path: Path) -> None:
    os.mkfifo(path)


PROGRAM = """
import resource, sys
from rbnn_deploy.data import load_test_images
from rbnn_deploy.errors import UserError
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
try:
    load_test_images(sys.argv[2])
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (many_members, "has more than 10,000 files"),
        (chain_of_long_names, "has more than 10,000 files|damaged or incomplete|is no whole CIFAR archive"),
        (long_name, "unpacks to more than 536,870,912 bytes"),
        (long_extended_header, "unpacks to more than 536,870,912 bytes"),
        (huge_member, "unpacks to more than 536,870,912 bytes"),
        (negative_size, "is damaged or incomplete"),
        (pipe, "is a pipe or a device"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_small_archives_take_little_time_and_memory(make: Callable, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    make(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ADDRESSES), str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    (message,) = done.stdout.splitlines()
    assert [word for word in said.split("|") if word in message], message


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, bytes])
@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_every_compression_and_format_is_read(compress: Callable, kind: int, tmp_path: Path) -> None:
    folder = write(VERSIONS[0], tmp_path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        archive.add(folder, f"./{VERSIONS[0].folder}")  # with times that have fractions: PAX adds headers
    path = tmp_path / "download.tar"
    path.write_bytes(compress(buffer.getvalue()))
    images, expected = load_test_images(path), load_test_images(folder)
    assert images.labels.tolist() == expected.labels.tolist()
    assert (images.read(3) == expected.read(3)).all()


@pytest.mark.parametrize(
    ("compress", "damage"),
    [
        *((compress, "cut") for compress in (gzip.compress, bz2.compress, lzma.compress, bytes)),
        *((compress, "changed") for compress in (gzip.compress, bz2.compress, lzma.compress)),
        (bytes, "header"),  # nothing in a plain archive tells of other changes
    ],
)
def test_a_damaged_archive_is_called_so(compress: Callable, damage: str, tmp_path: Path) -> None:
    write_archive(VERSIONS[0], tmp_path, tmp_path / "whole.tar.gz")
    whole = gzip.decompress((tmp_path / "whole.tar.gz").read_bytes())
    if damage == "header":
        whole = whole.replace(b"cifar-10-batches-py/test_batch", b"cifar-10-batches-py/test_bitch")
    content = bytearray(compress(whole))
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "changed":
        content[len(content) // 2] ^= 255
    path = tmp_path / "cifar-10-python.tar.xz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged or incomplete"):
        load_test_images(path)


def test_contents_and_names_are_told_apart(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, content in (("./a/1", b"one"), ("a/2", b"two")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("a/3")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    contents, names = read_members(tmp_path / "a.tar", ["a/1", "a/3"], 10)
    assert contents == {"a/1": b"one"}
    assert names == {"a/1", "a/2"}
    with pytest.raises(UserError, match=r"a/2 of .* is larger"):
        read_members(tmp_path / "a.tar", ["a/2"], 2)
    (tmp_path / "b").write_text("no archive")
    with pytest.raises(DamagedArchiveError):
        read_members(tmp_path / "b", [], 10)
