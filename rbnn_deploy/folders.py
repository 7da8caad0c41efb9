"""Writing a folder of files at once, so that an interrupted or failed write leaves the old folder whole."""

import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from rbnn_deploy.errors import UserError


def check_replaceable(folder: Path, ours: Collection[str]) -> None:
    """Checks that nothing of somebody else's is lost when a folder is replaced.

    Args:
        folder: To be written; it need not exist.
        ours: Names that an earlier export may have left in it.

    Raises:
        UserError: It holds other files, or is no folder.
    """
    try:
        if not folder.exists() and not folder.is_symlink():
            return
        others = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; name a new folder") from None
    if others:
        raise UserError(f"{folder} holds other files ({others[0]}); name a new folder or an empty one")


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files into a new folder, which then takes the place of the old one at once.

    Args:
        folder: To make or replace.
        files: Content by name; a name may be in a folder, such as "folder/name".

    Raises:
        UserError: The disk is full, or the place cannot be written to; the old folder is then as it was.
    """
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        for name, content in files.items():
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_bytes(content)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; choose a folder that you can write to"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
