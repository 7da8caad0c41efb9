"""`bench --host`: over a program that pretends to be ssh, and over a real server."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.json_docs import assert_documented, documented
from support.ssh import SERVER, left_by_us, server

from rbnn_deploy.cli import main

TIMING = ("--baseline", "none", "--runs", 2)
THIS_PYTHON = ("--remote-python", sys.executable)


def test_it_gives_the_result_of_the_board(
    board: Path, small_model_path: Path, cli: Callable, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    timing = ("--baseline", "fp32", "--runs", 1)
    outcome = cli("bench", small_model_path, "--host", "pi@board", *THIS_PYTHON, *timing, "--json", out)
    assert outcome.code == 0, outcome.err
    assert "ort (this model)" in outcome.out
    content = json.loads(out.read_text())
    absent = {key for key in documented(content["schema"]) if key.startswith("int8_layers[]")}
    assert_documented(
        content, absent=absent | (set() if content["host"]["warnings"] else {"host.warnings[]"})
    )
    assert content["threads"] == 1
    assert left_by_us(board) == []


def test_a_sweep_too(board: Path, small_model_path: Path, cli: Callable) -> None:
    outcome = cli(
        "bench", small_model_path, "--host", "board", *THIS_PYTHON, *TIMING, "--batch", "1,2", "--json", "-"
    )
    assert [entry["batch"] for entry in json.loads(outcome.out)["benchmarks"]] == [1, 2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "unreachable"], "cannot reach unreachable (ssh: connect"),
        (["--host", "-oProxyCommand=touch x"], "is no host"),
        (
            ["--host", "board", "--remote-python", "/nowhere/python3"],
            "has no rbnn-deploy for /nowhere/python3",
        ),
        (["--host", "board", "--plot", "x.png"], "--plot draws times of this host"),
        (["--host", "board", "--wheel", "absent.whl"], "cannot read absent.whl"),
        (["--wheel", "x.whl"], "name it by --host"),
        (["--host", "board", *THIS_PYTHON, "--threads", "0"], "the command failed on board"),
    ],
)
def test_what_is_refused(
    options: list[str], sentence: str, board: Path, small_model_path: Path, cli: Callable, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    outcome = cli("bench", small_model_path, *options, *TIMING, "--json", out)
    assert outcome.code == 2
    assert outcome.out == ""
    assert sentence in outcome.err
    assert not out.exists()
    assert left_by_us(board) == []


def test_another_version_is_refused(
    board: Path, small_model_path: Path, cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbnn_deploy.remote.install.__version__", "9.9")
    outcome = cli("bench", small_model_path, "--host", "board", *THIS_PYTHON, *TIMING)
    assert outcome.code == 2
    assert "and this host 9.9" in outcome.err


def test_without_ssh(
    board: Path, small_model_path: Path, cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBNN_SSH_COMMAND", "no-such-program")
    outcome = cli("bench", small_model_path, "--host", "board", *TIMING)
    assert outcome.code == 2
    assert "cannot start no-such-program" in outcome.err


def test_a_wheel_is_installed_once(
    board: Path, small_model_path: Path, cli: Callable, tmp_path: Path
) -> None:
    """The pretended board makes environments by a program of ours, which needs no network."""
    log = tmp_path / "log"
    python = tmp_path / "python3"
    # `-m venv ... FOLDER` puts this program into the folder, whose pip notes the wheel; all else is Python.
    python.write_text(
        "#!/bin/sh\n"
        'case "$1 $2" in\n'
        f'"-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo venv >> "{log}";;\n'
        f'"-m pip") for last; do :; done; basename "$last" >> "{log}"; test -s "$last";;\n'
        f'*) exec "{sys.executable}" "$@";;\n'
        "esac\n"
    )
    python.chmod(0o755)
    wheel = tmp_path / "rbnn_deploy-1-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    for _ in range(2):
        outcome = cli(
            "bench", small_model_path, "--host", "b", "--remote-python", python, "--wheel", wheel, *TIMING
        )
        assert outcome.code == 0, outcome.err
    assert log.read_text().splitlines() == ["venv", wheel.name]
    assert left_by_us(board) == [".cache"]


@pytest.mark.skipif(
    SERVER is None or shutil.which("ssh") is None,
    reason="needs ssh and sshd; run: apt-get install openssh-server",
)
@pytest.mark.skipif(os.geteuid() != 0, reason="sshd's folder /run/sshd is the superuser's")
def test_over_a_real_server(
    small_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with server(tmp_path) as command:
        monkeypatch.setenv("RBNN_SSH_COMMAND", command)
        arguments = ["bench", small_model_path, "--host", "127.0.0.1", *THIS_PYTHON, *TIMING, "--json", "-"]
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    assert not stop.value.code, err
    assert json.loads(out)["threads"] == 1
    assert "timing" in err  # the board's own notes come through
