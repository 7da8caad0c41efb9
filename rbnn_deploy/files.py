"""Reading files whole, and writing them so that an interrupted or failed write leaves the old file whole."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rbnn_deploy.errors import UserError


def atomic_write(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file beside its target and renames it over the target once it is complete.

    Args:
        path: The target. Its folder must exist.
        write: Called with the path of an empty temporary file in the target's folder.

    Raises:
        UserError: The folder is missing or read-only, the target is a folder, or the disk is full;
            the target is then as it was before.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; name a file")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; choose a folder that you can write to"
        ) from None
    temporary = Path(name)
    try:
        # mkstemp creates the file for its owner only; give it the permissions that open() would have set.
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        os.close(handle)
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another place"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path` as `atomic_write` does.

    Raises:
        UserError: See `atomic_write`.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    atomic_write(path, write)


def read_regular_file(path: Path, name: str) -> bytes:
    """Reads a file; what would wait for another program, or never end, is no file to read.

    Args:
        path: The file.
        name: What to call it in a message, such as "the checkpoint".

    Raises:
        UserError: It is missing, no regular file, or cannot be read.
    """
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; name the file of {name} in it")
        if not path.exists():
            raise UserError(f"{path} does not exist; check the path of {name}")
        if not path.is_file():
            raise UserError(f"{path} is a pipe or a device; copy {name} into a file and name that")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the file and its permissions") from None
