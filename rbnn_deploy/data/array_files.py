"""Arrays by name from a file that NumPy wrote: .npz holds several, .npy one."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rbnn_deploy.errors import UserError
from rbnn_deploy.signature import Array, quoted

LARGEST = 1 << 32  # bytes of all arrays of a file
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
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
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
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ValueError(f"they are larger than {LARGEST >> 30} GB")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
