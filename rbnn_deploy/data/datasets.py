"""Finds out the kind of data set at a path, and loads it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rbnn_deploy.data.cifar import load_cifar
from rbnn_deploy.data.digits import NAME as DIGITS
from rbnn_deploy.data.digits import load_digits
from rbnn_deploy.data.folder import load_folder
from rbnn_deploy.data.labelled import LabelledImages
from rbnn_deploy.errors import UserError

TRAIN_FOLDERS = ("train",)
TEST_FOLDERS = ("test", "val")


def load_test_images(
    source: str | Path, limit: int | None = None, class_names: Sequence[str] | None = None
) -> LabelledImages:
    """Loads the test images of a data set.

    Args:
        source: An original CIFAR-10 or CIFAR-100 download (python or binary version, archive or unpacked); a
            folder of `test/<class>/`, `val/<class>/` or `<class>/` with PNG or JPEG files; or "digits".
        limit: How many, spread evenly over the classes; None for all.
        class_names: The network's classes; labels then count in this order. None keeps the data set's own.

    Raises:
        UserError: There is no such data set, it is damaged, it holds no images, or a class is unknown.
    """
    return _load(source, False, limit, class_names)


def load_train_images(
    source: str | Path, limit: int | None = None, class_names: Sequence[str] | None = None
) -> LabelledImages:
    """Loads the training images of a data set; see `load_test_images`; folders need a `train/<class>/`.

    Raises:
        UserError: See `load_test_images`.
    """
    return _load(source, True, limit, class_names)


def _load(
    source: str | Path, train: bool, limit: int | None, class_names: Sequence[str] | None
) -> LabelledImages:
    try:
        images = _open(source, train)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read {error.filename or source}: {reason}; check its permissions") from None
    return (images if class_names is None else _relabel(images, class_names)).subset(limit)


def _open(source: str | Path, train: bool) -> LabelledImages:
    path = Path(source)
    if path.is_dir():
        wanted, others = (TRAIN_FOLDERS, TEST_FOLDERS) if train else (TEST_FOLDERS, TRAIN_FOLDERS)
        found = load_cifar(path, train)
        return load_folder(path, wanted, others, flat=not train) if found is None else found
    if path.exists():
        if not path.is_file():  # reading a pipe may never end
            raise UserError(f"{path} is a pipe or a device; copy the data set into a file and name that")
        found = load_cifar(path, train)
        if found is None:
            raise UserError(
                f"{path} is no whole CIFAR archive; unpack it and name the folder, or name another data set"
            )
        return found
    if str(source) == DIGITS:
        return load_digits(train)
    raise UserError(f"{path} does not exist; name a folder of images, a CIFAR download, or {DIGITS!r}")


def _relabel(images: LabelledImages, class_names: Sequence[str]) -> LabelledImages:
    position = {name: index for index, name in enumerate(class_names)}
    unknown = [name for name in images.class_names if name not in position]
    if unknown:
        raise UserError(
            f"the network has no class {unknown[0]!r} (it has {', '.join(class_names[:3])}, ...); "
            "use the data set that it was trained on"
        )
    order = np.asarray([position[name] for name in images.class_names], np.int64)
    return replace(images, labels=order[images.labels], class_names=tuple(class_names))
