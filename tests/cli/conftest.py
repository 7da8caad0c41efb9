"""Runs the command line in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.ssh import pretender

from rbnn_deploy.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(exit_info.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended board; returns its home folder, where it also keeps temporary files."""
    home = tmp_path / "home of the board"
    home.mkdir()
    monkeypatch.setenv("RBNN_SSH_COMMAND", pretender(tmp_path))
    monkeypatch.setenv("BOARD_HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home))
    return home
