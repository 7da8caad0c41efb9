"""Output that several commands share."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from rbnn_deploy.files import atomic_write_bytes


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        UserError: See `rbnn_deploy.files.atomic_write`.
    """
    atomic_write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


@contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Shows progress on standard error, where it is a terminal; gives the function that advances it."""
    with typer.progressbar(length=length, label=label, file=typer.get_text_stream("stderr")) as bar:
        yield bar.update
