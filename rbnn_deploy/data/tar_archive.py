"""Reads some files of a tar archive, in one pass and in bounded time and memory.

Python's tarfile keeps every member, reads a name of any length that a header claims, and calls itself for
each of a chain of long names: a few kilobytes take gigabytes, minutes, or its whole stack. Here only plain
headers count. Those with long names and other additions are passed over: the published archives have none.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from rbnn_deploy.errors import UserError

MAX_MEMBERS = 10_000
MAX_TOTAL = 1 << 29  # bytes of the archive, unpacked; CIFAR's take 186 MB
_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20
_END = bytes(_BLOCK)
_WITHOUT_CONTENT = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE)
_OPENERS: dict[bytes, Callable[[BinaryIO], object]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}


class DamagedArchiveError(Exception):
    """The file is no tar archive, or not a whole one."""


def read_members(
    path: Path, wanted: Collection[str], max_bytes: int
) -> tuple[dict[str, bytes], frozenset[str]]:
    """Reads an archive, which may be compressed by gzip, bzip2 or xz.

    Args:
        path: A regular file.
        wanted: Names of the files that are read, without "./" before them.
        max_bytes: That one of them may have.

    Returns:
        Content of those files that there are; names of all regular files.

    Raises:
        DamagedArchiveError: It is no whole archive.
        UserError: It has too many members, too large ones, or unpacks to too much.
        PermissionError: It may not be read.
    """
    contents: dict[str, bytes] = {}
    names: set[str] = set()
    try:
        with ExitStack() as stack:
            stream = _Stream(_unpacked(stack, path), path)
            for _ in range(MAX_MEMBERS):
                header = stream.read(_BLOCK)
                if header in (b"", _END):
                    stream.skip_rest()
                    return contents, frozenset(names)
                member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
                name = member.name.removeprefix("./")
                size = 0 if member.type in _WITHOUT_CONTENT else member.size
                if not member.isfile():
                    stream.skip(_padded(size))
                    continue
                names.add(name)
                if name not in wanted:
                    stream.skip(_padded(size))
                    continue
                if size > max_bytes:
                    raise UserError(f"{name} of {path} is larger than any file of CIFAR; download it again")
                contents[name] = stream.read(size)
                stream.skip(_padded(size) - size)
    except PermissionError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError):
        raise DamagedArchiveError from None
    raise UserError(f"{path} has more than {MAX_MEMBERS:,} files; name an original CIFAR download")


def _unpacked(stack: ExitStack, path: Path) -> BinaryIO:
    file = stack.enter_context(path.open("rb"))
    start = file.read(max(map(len, _OPENERS)))
    file.seek(0)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return stack.enter_context(cast("BinaryIO", opener(file)))
    return file


def _padded(size: int) -> int:
    """Returns the bytes that a content takes in whole blocks."""
    if size < 0:
        raise ValueError
    return -(-size // _BLOCK) * _BLOCK


class _Stream:
    """Counts what is read.

    Args:
        file: The unpacked archive.
        path: Its file, for messages.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path, self._left = file, path, MAX_TOTAL

    def read(self, size: int) -> bytes:
        """Returns the next bytes; none at the end.

        Raises:
            EOFError: There are some, but fewer.
            UserError: The archive unpacks to too much.
        """
        self._left -= size
        if self._left < 0:
            raise UserError(
                f"{self._path} unpacks to more than {MAX_TOTAL:,} bytes; name an original CIFAR download"
            )
        content = self._file.read(size)
        if 0 < len(content) < size or (size and not content and size != _BLOCK):
            raise EOFError
        return content

    def skip_rest(self) -> None:
        """Reads to the end, where compressed files have their checksum."""
        while self.read(_BLOCK):
            pass

    def skip(self, size: int) -> None:
        """Reads over bytes, in pieces."""
        while size:
            size -= len(self.read(min(size, _PIECE)))
