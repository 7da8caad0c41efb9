"""Folders of images, one folder a class."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rbnn_deploy.data.labelled import LabelledImages
from rbnn_deploy.data.preprocessing import load_image
from rbnn_deploy.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")  # in either case


def load_folder(root: Path, splits: tuple[str, ...], others: tuple[str, ...]) -> LabelledImages:
    """Lists `root/<split>/<class>/<image>` for the first split that exists, else `root/<class>/<image>`.

    Classes and files are sorted by name, as strings, so the list is the same on every machine. Labels count
    the classes of all splits, so that a class of which one split has no image does not shift the others.

    Args:
        root: The data set's folder.
        splits: Names that the wanted split may have.
        others: Names of the other splits; where only such a one exists, the wanted images are not here.

    Raises:
        UserError: There are no images, or none of this split.
    """
    present = [root / name for name in (*splits, *others) if (root / name).is_dir()]
    base = next((folder for folder in present if folder.name in splits), None)
    if base is None:
        if present:
            raise UserError(
                f"{root} has a folder {present[0].name}, but no {splits[0]}; add {splits[0]}/<class>/"
            )
        base = root
        present = [root]
    classes = (entry for folder in present for entry in folder.iterdir() if any(_images(entry)))
    names = tuple(sorted({entry.name for entry in classes}))
    found = [sorted(_images(base / name)) for name in names]
    files = [file for group in found for file in group]
    if not files:
        raise UserError(
            f"{base} holds no images; expected <class>/*.png or *.jpg in it, or in a folder {splits[0]} of it"
        )
    return LabelledImages(
        np.repeat(np.arange(len(names)), [len(group) for group in found]),
        names,
        lambda index: load_image(files[index]),
        lambda index: str(files[index]),
    )


def _images(folder: Path) -> Iterator[Path]:
    """Yields a folder's images; none where it is a file, hidden or missing."""
    if folder.name.startswith(".") or not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith("."):
            yield entry
