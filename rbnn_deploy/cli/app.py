"""Assembles the commands, and turns exceptions into messages and exit codes."""

import errno
import os
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from rbnn_deploy.cli import commands
from rbnn_deploy.cli.output import set_quiet
from rbnn_deploy.errors import UserError
from rbnn_deploy.version import __version__

EXIT_DIFFERENCE = 1  # compare found a difference that it could not explain
EXIT_BAD_INPUT = 2

app = typer.Typer(
    name="rbnn-deploy",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Deploy rotated binary neural networks: fold, export to ONNX with one-bit weights, run, compare.",
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no notes and no progress.")] = False,
) -> None:
    """Options of every command."""


commands.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits.

    Exit codes: 0 success, 1 an unexplained difference, 2 bad use, input or output.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        # These two are accepted in front of and behind the command's name.
        set_quiet("--quiet" in arguments)
        with warnings.catch_warnings():
            if not debug:
                warnings.showwarning = _show_warning
            app(args=[a for a in arguments if a not in ("--debug", "--quiet")])
    except UserError as error:
        _fail(str(error), debug)
    except SystemExit as stop:
        # A pipe whose reader has gone: typer exits with 1, which is a result of `compare`.
        if isinstance(stop.__context__, OSError) and stop.__context__.errno == errno.EPIPE:
            _fail_output(stop.__context__, debug)
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:  # a stream, as no file has failed
            _fail_output(error, debug)
        _fail_internally(error, debug)
    except Exception as error:
        _fail_internally(error, debug)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Shows a warning as a sentence, without the line of code that Python adds."""
    typer.echo(f"warning: {message}", err=True)


def _fail_output(error: OSError, debug: bool) -> NoReturn:
    """Fails because standard output takes no more."""
    with suppress(OSError, ValueError):  # ValueError: not a real file, as in a test
        # The rest of its buffer would fail again when Python exits, with a message of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _fail(f"cannot write the output: {error.strerror}; free space or send it elsewhere", debug)


def _fail_internally(error: Exception, debug: bool) -> NoReturn:
    detail = (str(error).strip().splitlines() or ["no message"])[0]
    _fail(f"internal error, {type(error).__name__}: {detail}; report it with the traceback of --debug", debug)


def _fail(message: str, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    typer.echo(f"error: {message}", err=True)
    sys.exit(EXIT_BAD_INPUT)
