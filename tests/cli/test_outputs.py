"""Where output goes: checked before long work, and no noise where nobody can see it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rbnn_deploy.cli.output import check_writable, progress_bar, set_quiet
from rbnn_deploy.errors import UserError


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rbnn_deploy", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_checking_an_output_changes_nothing(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("old")
    check_writable(old, new)
    check_writable(new, old)
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "old"


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.touch()
    (tmp_path / "link").symlink_to(model)
    for path in (tmp_path, tmp_path / "missing" / "a.json", model, tmp_path / "x" / ".." / "model.onnx"):
        with pytest.raises(UserError, match=f"cannot write {path}"):
            check_writable(path, model)
    with pytest.raises(UserError, match="uses this file already"):
        check_writable(tmp_path / "link", model)


@pytest.mark.parametrize(
    ("name", "option"), [("inspect", "--json"), ("bench", "--json"), ("bench", "--plot")]
)
@pytest.mark.parametrize("bad", ["missing", "input"])
def test_outputs_are_checked_before_the_work(
    name: str, option: str, bad: str, cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work began before its output was checked")

    monkeypatch.setattr("rbnn_deploy.inspecting.inspect_onnx", work)
    monkeypatch.setattr("rbnn_deploy.benchmarking.bench", work)
    model = tmp_path / "model.png"  # a plot's name must end so
    model.write_bytes(b"\x08\x08")
    target = model if bad == "input" else tmp_path / "missing" / "a.png"
    outcome = cli(name, model, option, target)
    assert outcome.code == 2
    assert f"cannot write {target}" in outcome.err
    assert model.read_bytes() == b"\x08\x08"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk_behind_standard_output(model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = command("inspect", model, stdout=full)
    assert done.returncode == 2
    assert (
        done.stderr
        == "error: cannot write the output: No space left on device; free space or send it elsewhere\n"
    )


def test_a_reader_that_has_gone(model: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = command("inspect", model, stdout=writer)
    os.close(writer)
    assert done.returncode == 2
    assert done.stderr == "error: cannot write the output: Broken pipe; free space or send it elsewhere\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_without_a_terminal_is_a_line_now_and_then(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbnn_deploy.cli.output.SECONDS_BETWEEN_LINES", 0.0)
    set_quiet(quiet)
    with progress_bar(3, "comparing") as advance:
        advance(2)
    set_quiet(False)
    assert capsys.readouterr() == ("", "" if quiet else "comparing: 2 of 3\n")


@pytest.mark.parametrize("command_name", ["inspect", "compare"])
def test_json_on_standard_output_is_all_of_it(command_name: str, cli: Callable, model: Path) -> None:
    options = ["--random", 2, "--runtimes", "ort,numpy"] if command_name == "compare" else []
    outcome = cli(command_name, model, *options, "--json", "-", "--quiet")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert json.loads(outcome.out)["schema"] == f"rbnn-deploy.{command_name}/1"


def test_short_help(cli: Callable) -> None:
    assert cli("-h").out == cli("--help").out
    assert cli("inspect", "-h").out == cli("inspect", "--help").out


def test_no_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, "comparing") as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_model_is_known_by_its_content(
    cli: Callable, model: Path, checkpoint: Path, tmp_path: Path
) -> None:
    as_bin, as_onnx = tmp_path / "model.bin", tmp_path / "checkpoint.onnx"
    as_bin.write_bytes(model.read_bytes())
    as_onnx.write_bytes(checkpoint.read_bytes())
    outcome = cli("inspect", as_bin)
    assert outcome.code == 0, outcome.err
    assert "BinaryConv2d" in outcome.out
    outcome = cli("inspect", as_onnx)
    assert outcome.code == 0, outcome.err
    assert "RotatedBinaryConv2d" in outcome.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"some text\n" * 50, "is not an ONNX model"),
        (b"PK\x03\x04 cut off", "is damaged or incomplete"),
        (b"\x80\x04N.", "pickle"),
    ],
    ids=["missing", "empty", "text", "zip", "pickle"],
)
@pytest.mark.parametrize("name", ["file", "file.onnx", "file.pth.tar"])
def test_files_that_inspect_refuses(
    content: bytes | None, words: str, name: str, cli: Callable, tmp_path: Path
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    outcome = cli("inspect", file)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {file} ")
    assert words in outcome.err


def test_inspecting_a_folder(cli: Callable, tmp_path: Path) -> None:
    assert "is a folder" in cli("inspect", tmp_path).err


def test_samples_and_random_exclude_each_other(cli: Callable, model: Path) -> None:
    outcome = cli("compare", model, "--random", 2, "--samples", 1, "--runtimes", "ort,ort-portable")
    assert outcome.code == 2
    assert "--samples" in outcome.err
    assert "--random" in outcome.err


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**12, 10**30])
def test_impossible_numbers_of_threads(threads: int, cli: Callable, model: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    Image.new("L", (8, 8)).save(image)
    outcome = cli("run", model, image, "--threads", threads)
    assert outcome.code == 2
    assert outcome.err == f"error: a model runs on at least 1 thread and at most 1024, not on {threads}\n"
