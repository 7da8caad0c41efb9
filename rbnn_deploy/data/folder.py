"""Folders of images, one folder a class."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rbnn_deploy.data.image_file import OTHER_SUFFIXES, SUFFIXES, load_image, unreadable
from rbnn_deploy.data.labelled import LabelledImages
from rbnn_deploy.errors import UserError


@dataclass(frozen=True)
class _Files:
    """Image files of one folder.

    Attributes:
        base: The folder.
        names: Paths below it.
    """

    base: Path
    names: tuple[str, ...]

    def read(self, index: int) -> Image.Image:
        return load_image(self.base / self.names[index])

    def name_of(self, index: int) -> str:
        return str(self.base / self.names[index])

    def stamp_of(self, index: int) -> str:
        try:
            return f"{self.names[index]} {(self.base / self.names[index]).stat().st_size}"
        except OSError as error:
            raise unreadable(self.name_of(index), error) from None


def load_folder(root: Path, splits: tuple[str, ...], others: tuple[str, ...], flat: bool) -> LabelledImages:
    """Lists `root/<split>/<class>/<image>` for the first split that exists, else perhaps `root/<class>/`.

    Classes and files are sorted by name, as strings, so the list is the same on every machine. Labels count
    the classes of all splits, so that a class of which one split has no image does not shift the others.

    Args:
        root: The data set's folder.
        splits: Names that the wanted split may have.
        others: Names of the other splits; where only such a one exists, the wanted images are not here.
        flat: Whether the wanted images may lie in `root/<class>/`.

    Raises:
        UserError: There are no images, or none of this split, or some of a format that is not read, or a
            class has no proper name.
        OSError: A folder cannot be read.
    """
    present = [root / name for name in (*splits, *others) if (root / name).is_dir()]
    base = next((folder for folder in present if folder.name in splits), None)
    if base is None:
        if present:
            raise UserError(
                f"{root} has a folder {present[0].name}, but no {splits[0]}; add {splits[0]}/<class>/"
            )
        if not flat:
            raise UserError(
                f"{root} has no folder {splits[0]}; add {splits[0]}/<class>/ and {others[0]}/<class>/"
            )
        base = root
        present = [root]
    classes = (entry for folder in present for entry in folder.iterdir() if any(_images(entry)))
    names = tuple(sorted({entry.name for entry in classes}))
    for name in names:
        if os.fsencode(name).decode(errors="replace") != name:
            raise UserError(
                f"the name of the class folder {os.fsencode(name)!r} in {root} is not UTF-8; rename it"
            )
    found = [sorted(entry.name for entry in _images(base / name)) for name in names]
    files = _Files(
        base, tuple(f"{name}/{file}" for name, group in zip(names, found, strict=True) for file in group)
    )
    if not files.names:
        raise UserError(
            f"{base} holds no images; expected <class>/*.png, *.jpg or the like in it, or in a folder "
            f"{splits[0]} of it"
        )
    return LabelledImages(
        np.repeat(np.arange(len(names)), [len(group) for group in found]),
        names,
        files.read,
        files.name_of,
        files.stamp_of,
    )


def _images(folder: Path) -> Iterator[Path]:
    """Yields a folder's images; none where it is a file, hidden or missing.

    Raises:
        UserError: It holds images of a format that is not read, which would be missing from the data set.
    """
    if folder.name.startswith(".") or not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        suffix = entry.suffix.lower()
        if suffix in OTHER_SUFFIXES:
            raise UserError(
                f"{entry} is of a format that is not read here; convert all {suffix} files to PNG or JPEG"
            )
        if suffix in SUFFIXES:
            yield entry
