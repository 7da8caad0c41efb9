"""Output that several commands share."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write, atomic_write_bytes

STDOUT = Path("-")
SECONDS_BETWEEN_LINES = 5.0
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Also write the result to this JSON file; - prints only JSON.")
]
_state = {"quiet": False}


class _WritableError(Exception):
    """The target can be written; raised to write nothing to it."""


def check_writable(path: Path, *inputs: Path) -> None:
    """Checks before long work that its output can be written; changes nothing.

    Args:
        path: The output; STDOUT needs no check.
        inputs: Files that it must not be, because they are read or written too.

    Raises:
        UserError: It is one of them, or see `rbnn_deploy.files.atomic_write`.
    """
    if path == STDOUT:
        return
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
    atomic_write_bytes(path, (_dumps(content) + "\n").encode())


def print_json(content: Any) -> None:
    """Prints JSON on standard output."""
    typer.echo(_dumps(content))


def give_result(text: str, content: dict[str, Any], json_file: Path | None) -> None:
    """Gives a command's result: its text on standard output, or JSON instead or besides (docs/json.md).

    Args:
        text: For a person.
        content: For json.dumps, with its schema.
        json_file: Also written; STDOUT stands for standard output, which then has the JSON alone.

    Raises:
        UserError: See `write_json`.
    """
    if json_file == STDOUT:
        print_json(content)
        return
    typer.echo(text)
    if json_file is not None:
        write_json(json_file, content)


def _dumps(content: Any) -> str:
    # JSON has no number that is none (NaN) and none that is infinite: results give null for them.
    return json.dumps(content, indent=2, allow_nan=False)


def set_quiet(quiet: bool) -> None:
    """Sets whether notes and progress are left out; errors and warnings are not."""
    _state["quiet"] = quiet


def shows_progress() -> bool:
    """Tells whether notes and progress are shown."""
    return not _state["quiet"]


def note(text: str) -> None:
    """Writes a line about the work to standard error."""
    if not _state["quiet"]:
        typer.echo(text, err=True)


@contextmanager
def live_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Shows progress on standard error; gives the function that takes the part that is done, and the whole.

    On a terminal it is one live bar; elsewhere a line every few seconds.
    """
    if _state["quiet"]:
        yield lambda _, __: None
    elif typer.get_text_stream("stderr").isatty():
        from rich.console import Console
        from rich.progress import Progress

        # Results that are printed meanwhile go to standard output, which need not be this terminal.
        with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        told = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                note(f"{label}: {done} of {total}")

        yield tell


@contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Shows progress as `live_progress` does; gives the function that takes a number of further steps."""
    done = 0
    with live_progress(label) as show:

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            show(done, length)

        yield advance
