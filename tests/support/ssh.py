"""Stand-ins for a board: a program that answers as ssh does, and a real server on this host."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")

# It drops ssh's options and the host, and hands the rest to a shell, as sshd does.
PRETENDER = """\
import os, subprocess, sys
arguments = sys.argv[1:]
while arguments[0] == "-o":
    del arguments[:2]
host, command = arguments[0], " ".join(arguments[1:])
if host == "unreachable":
    print("ssh: connect to host unreachable port 22: No route to host", file=sys.stderr)
    sys.exit(255)
sys.exit(subprocess.run(command, shell=True, env=os.environ | {"HOME": os.environ["BOARD_HOME"]}).returncode)
"""


def pretender(folder: Path) -> str:
    """Writes the program that pretends to be ssh; returns the command that runs it."""
    program = folder / "pretender.py"
    program.write_text(PRETENDER)
    return f"{sys.executable} {program}"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Runs OpenSSH's server for this user; gives the ssh command that reaches it."""
    assert SERVER is not None
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = folder / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder / 'key.pub'}\nStrictModes no\n"
    )
    Path("/run/sshd").mkdir(parents=True, exist_ok=True)  # where the server shuts itself in
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SERVER, "-D", "-e", "-f", str(configuration)], stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        checks = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder / 'known'} -o LogLevel=ERROR"
        yield f"ssh -F none -p {port} -i {folder / 'key'} {checks}"
    finally:
        process.terminate()
        process.wait()


def left_by_us(home: Path) -> list[str]:
    """Returns our folders on the board; other programs keep files in its home too."""
    found = [*home.glob("tmp*"), *home.glob(".cache/rbnn-deploy/*")]
    return [path.relative_to(home).parts[0] for path in found]
