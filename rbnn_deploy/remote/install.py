"""Finds rbnn-deploy on a host, or installs a wheel there, in an environment of its own."""

import hashlib
import shlex
from pathlib import Path

from rbnn_deploy.errors import UserError
from rbnn_deploy.remote.host import RemoteHost
from rbnn_deploy.version import __version__

ENVIRONMENTS = ".cache/rbnn-deploy"  # below the home folder
ASK_VERSION = "import rbnn_deploy; print(rbnn_deploy.__version__)"


def installed_python(host: RemoteHost, python: str, wheel: Path | None) -> str:
    """Returns a Python on the host that has this version of rbnn-deploy.

    Args:
        host: The host.
        python: The Python there; with a wheel, the one that makes the environment.
        wheel: Installed once, into an environment of its own; pip fetches the packages that it needs.

    Raises:
        UserError: The host cannot be reached, lacks rbnn-deploy, or has another version.
    """
    if wheel is not None:
        python = _install(host, python, wheel)
    found = (
        host.shell(f"{shlex.quote(python)} -c {shlex.quote(ASK_VERSION)} 2>/dev/null || true")
        .decode()
        .strip()
    )
    if not found:
        raise UserError(
            f"{host.name} has no rbnn-deploy for {python}; send one by --wheel, or name another Python by "
            "--remote-python"
        )
    if found != __version__:
        raise UserError(
            f"{host.name} has rbnn-deploy {found}, and this host {__version__}; send a wheel of this version "
            "by --wheel"
        )
    return python


def _install(host: RemoteHost, python: str, wheel: Path) -> str:
    """Installs a wheel, unless its environment is there; returns its Python."""
    try:
        content = wheel.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {wheel}: {error.strerror}; make one by `make wheel`") from None
    if wheel.suffix != ".whl":
        raise UserError(f"{wheel} is no wheel; make one by `make wheel`")
    digest = hashlib.sha256(content).hexdigest()[:16]
    home = host.shell('printf %s "$HOME"').decode()
    environment = f"{home}/{ENVIRONMENTS}/{digest}"
    ready, file = shlex.quote(f"{environment}/ready"), shlex.quote(f"{environment}/{wheel.name}")
    if host.shell(f"test -e {ready} && echo yes || true").strip() != b"yes":
        where = shlex.quote(environment)
        pip = f"{where}/bin/python -m pip install --quiet --disable-pip-version-check {file}"
        host.shell(f"mkdir -p {where} && cat > {file}", content=content)
        # Packages that the system has are taken: a board may have no way to a package index.
        host.shell(
            f"{shlex.quote(python)} -m venv --system-site-packages {where} >&2 && {pip} >&2 && touch {ready}"
        )
    return f"{environment}/bin/python"
