"""Arrays by name from a file that NumPy wrote: .npz holds several, .npy one."""

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rbnn_deploy.data.sources import array_of_bytes
from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import Array, quoted

LARGEST = 1 << 32  # bytes of all arrays of a file
MOST_ARRAYS = 1000
# Of a damaged archive, one that is encrypted, and one of a method that Python does not have.
_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError)
_ADVICE = "write it by np.save or np.savez"


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Reads arrays; pickled objects are not read.

    Args:
        path: The file. If one array is asked for, and the file holds one, its name there does not matter.
        names: The arrays to return.

    Raises:
        UserError: The file cannot be read, holds something else, lacks one of the arrays, or is too large.
    """
    try:
        if path.suffix == ".npz":
            found = _read_archive(path)
        else:
            found = {names[0]: np.load(path, allow_pickle=False, mmap_mode="r")} if names else {}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {_ADVICE}") from None
    except (OSError, ValueError, EOFError, KeyError, *_ARCHIVE_ERRORS) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} holds no arrays of NumPy ({reason}); {_ADVICE}") from None
    if len(names) == 1 and len(found) == 1:
        return dict(zip(names, found.values(), strict=True))
    for name in names:
        if name not in found:
            held = ", ".join(map(quoted, found)) or "nothing"
            raise UserError(f"{path} holds {held}, and not {quoted(name)}; name its arrays so")
    return {name: found[name] for name in names}


def _read_archive(path: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ARRAYS or sum(entry.file_size for entry in entries) > LARGEST:
            raise ValueError(f"there are more than {MOST_ARRAYS}, or they are larger than {LARGEST >> 30} GB")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            # NumPy itself would allocate what the header of an entry claims.
            found[name] = array_of_bytes(f"{path}[{quoted(name)}]", archive.read(entry), _ADVICE)
    return found
