"""A host that the program `ssh` reaches, and files that go there and back through it."""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.text import printable

# As GIT_SSH_COMMAND: another program, or options, such as "ssh -p 2222".
COMMAND_VARIABLE = "RBNN_SSH_COMMAND"
CANNOT_CONNECT = 255  # ssh's own exit code; others are the remote command's
SECONDS_TO_END = 10
# Nobody may be there to type a password; keys and ssh-agent work.
OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15")


@dataclass(frozen=True)
class RemoteHost:
    """A host as ssh names it: `user@board`, or an alias of ssh's configuration.

    Attributes:
        name: The destination.

    Raises:
        UserError: The name is empty or would be an option of ssh.
    """

    name: str

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("-") or any(c.isspace() for c in self.name):
            raise UserError(
                f"{printable(self.name)!r} is no host; name one as ssh does, such as pi@192.168.1.7"
            )

    def shell(self, script: str, *, content: bytes | None = None) -> bytes:
        """Runs a script of the POSIX shell there.

        Args:
            script: The script.
            content: What it reads on its standard input.

        Returns:
            What it wrote on standard output.

        Raises:
            UserError: There is no ssh here, the host cannot be reached, or the script failed; the last line
                that the other side wrote is the reason.
        """
        done = self._ssh(script, content, subprocess.PIPE)
        if done.returncode:
            raise UserError(f"{self.name}: {_last_line(done.stderr)}")
        return done.stdout

    def run(
        self,
        command: Sequence[str],
        *,
        sends: Mapping[str, Path],
        returns: Mapping[str, Path] | None = None,
    ) -> str:
        """Runs a program there, in a folder of its own that goes afterwards.

        Standard error comes through as it is written.

        Args:
            command: Program and arguments; files are named by the keys of `sends` and `returns`.
            sends: Files that the folder gets, by the names that they have there.
            returns: Files to fetch: names there, and where they go.

        Returns:
            What it wrote on standard output.

        Raises:
            UserError: See `shell`; the program's own sentence stands on standard error already.
        """
        with self._folder() as folder:
            self._send(folder, sends)
            # A shell without a locale would let Python write ASCII.
            script = f"cd {_quoted(folder)} && PYTHONIOENCODING=utf-8 {shlex.join(command)}"
            done = self._ssh(script, None, None)
            if done.returncode:
                raise UserError(f"the command failed on {self.name}, as it says above")
            for name, path in (returns or {}).items():
                atomic_write_bytes(path, self.shell(f"cat {_quoted(folder / name)}"))
            return done.stdout.decode(errors="replace")

    @contextmanager
    def talk(
        self, command: Sequence[str], *, sends: Mapping[str, Path]
    ) -> Iterator[tuple[BinaryIO, BinaryIO]]:
        """Runs a program there and exchanges messages with it; see `run`.

        Args:
            command: Program and arguments.
            sends: Files that its folder gets.

        Yields:
            What it writes to its standard output, and what it reads from its standard input; its end is told
            to it by the end of the context.

        Raises:
            UserError: See `shell`.
        """
        with self._folder() as folder:
            self._send(folder, sends)
            script = f"cd {_quoted(folder)} && {shlex.join(command)}"
            try:
                process = subprocess.Popen(
                    self._command(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            except OSError:
                raise self._no_ssh() from None
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield process.stdout, process.stdin  # type: ignore[misc] # they are buffered
            finally:
                with suppress(BrokenPipeError):
                    process.stdin.close()
                process.stdout.close()
                try:
                    process.wait(SECONDS_TO_END)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _send(self, folder: PurePosixPath, files: Mapping[str, Path]) -> None:
        for name, path in files.items():
            self.shell(f"cat > {_quoted(folder / name)}", content=_read(path))

    def _command(self, script: str) -> list[str]:
        program = shlex.split(os.environ.get(COMMAND_VARIABLE, "ssh")) or ["ssh"]
        return [*program, *OPTIONS, self.name, shlex.join(["sh", "-c", script])]

    def _no_ssh(self) -> UserError:
        return UserError(
            f"cannot start {self._command('')[0]}; install an ssh client, or name one by {COMMAND_VARIABLE}"
        )

    def _ssh(
        self, script: str, content: bytes | None, errors: int | None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            done = subprocess.run(
                self._command(script),
                input=content or b"",
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
            )
        except OSError:
            raise self._no_ssh() from None
        if done.returncode == CANNOT_CONNECT:
            reason = "as ssh says above" if errors is None else _last_line(done.stderr)
            raise UserError(f"cannot reach {self.name} ({reason}); try `ssh {self.name}` first")
        return done

    @contextmanager
    def _folder(self) -> Iterator[PurePosixPath]:
        folder = PurePosixPath(self.shell("mktemp -d").decode().strip())
        try:
            yield folder
        finally:
            self.shell(f"rm -rf {_quoted(folder)}")


def _quoted(path: PurePosixPath) -> str:
    return shlex.quote(str(path))


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return printable(lines[-1].removeprefix("error: ")) if lines else "it says nothing"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the name") from None
