"""The options of commands that run on another host."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import note
from rbnn_deploy.errors import UserError

HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="USER@HOST", help="Run on this host, by ssh, and bring the result here."),
]
WheelOption = Annotated[
    Path | None, typer.Option("--wheel", help="With --host: install this wheel there first, once.")
]
RemotePythonOption = Annotated[
    str, typer.Option("--remote-python", help="With --host: a Python there that has rbnn-deploy.")
]
REMOTE_PYTHON = "python3"


def check_no_host_options(host: str | None, wheel: Path | None, remote_python: str) -> None:
    """Refuses options that mean nothing without --host.

    Raises:
        UserError: One was given.
    """
    if host is None and (wheel is not None or remote_python != REMOTE_PYTHON):
        raise UserError("--wheel and --remote-python say how to run on another host; name it by --host")


def run_there(
    host_name: str,
    wheel: Path | None,
    remote_python: str,
    command: Sequence[str],
    *,
    sends: dict[str, Path],
    returns: dict[str, Path],
) -> str:
    """Runs a command of ours on another host; see `rbnn_deploy.remote.RemoteHost.run`.

    Raises:
        UserError: See `rbnn_deploy.remote.installed_python` and `RemoteHost.run`.
    """
    from rbnn_deploy.remote import RemoteHost, installed_python

    host = RemoteHost(host_name)
    python = installed_python(host, remote_python, wheel)
    note(f"on {host.name}: {' '.join(command)}")
    return host.run([python, "-m", "rbnn_deploy", *command], sends=sends, returns=returns)
