"""Output that several commands share."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write, atomic_write_bytes


class _WritableError(Exception):
    """The target can be written; raised to write nothing to it."""


def check_writable(path: Path, *inputs: Path) -> None:
    """Checks before long work that its output can be written; changes nothing.

    Args:
        path: The output.
        inputs: Files that it must not be, because they are read or written too.

    Raises:
        UserError: It is one of them, or see `rbnn_deploy.files.atomic_write`.
    """
    if any(path.resolve() == other.resolve() for other in inputs):
        raise UserError(f"cannot write {path}: the command uses this file already; name another one")

    def stop(_: Path) -> None:
        raise _WritableError

    with suppress(_WritableError):
        atomic_write(path, stop)


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        UserError: See `rbnn_deploy.files.atomic_write`.
    """
    atomic_write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


@contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Shows progress on standard error, where it is a terminal; gives the function that advances it."""
    stream = typer.get_text_stream("stderr")
    if not stream.isatty():  # the bar itself would still print its label
        yield lambda _: None
        return
    with typer.progressbar(length=length, label=label, file=stream) as bar:
        yield bar.update
