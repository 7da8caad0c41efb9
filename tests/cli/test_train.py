"""The commands train and plot."""

import dataclasses
import inspect
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
import typer

from rbnn_deploy.cli import main, training_lines
from rbnn_deploy.cli.train import train
from rbnn_deploy.pytorch.checkpoints.checkpoint import load_checkpoint
from rbnn_deploy.pytorch.networks import build_network
from rbnn_deploy.pytorch.training import (
    RECIPES,
    TrainingOptions,
    TrainingRecipe,
    default_recipe,
    load_training_data,
)
from rbnn_deploy.pytorch.training.run import meter
from rbnn_deploy.pytorch.training.run.results import Progress

pytest.importorskip("sklearn")
ARCHITECTURE = "digits/resnet8_1w1a"
TRAIN = ("train", "--arch", ARCHITECTURE, "--dataset", "digits")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A short training, and what the command printed."""
    out = tmp_path_factory.mktemp("trained") / "run"
    printed = []
    arguments = [*TRAIN, "--out", str(out), "--epochs", "2", "--batch-size", "128", "--no-tensorboard"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer, "echo", lambda text="", **_: printed.append(str(text)))
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
    assert exit_info.value.code == 0
    return out, "\n".join(printed)


def test_every_number_is_an_option() -> None:
    parameters = inspect.signature(train).parameters
    for cls in (TrainingRecipe, TrainingOptions):
        for field in dataclasses.fields(cls):
            assert field.metadata["help"].endswith(".")
            assert parameters[field.name].default is None


def test_the_help_explains_every_option(cli: Callable) -> None:
    text = cli("train", "--help").out
    for name in ("--resume", "--recipe", "--t-max", "--no-flip", "--amp", "--checkpoint-every", "--workers"):
        assert name in text


def test_the_help_has_the_recipes_numbers(cli: Callable) -> None:
    text = " ".join(cli("train", "--help").out.split())
    paper, short = (RECIPES[name][""] for name in ("paper", "short"))
    assert f"(paper: {paper.epochs}, short: {short.epochs})" in text
    assert f"(paper: {paper.learning_rate}, short: {short.learning_rate})" in text
    assert f"absent. (short: {short.initial_angle})" in text
    assert f"first beta of Adam. ({paper.momentum})" in text


def test_a_warm_up_without_an_end_is_noted(cli: Callable, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--batch-size", 512, "--no-tensorboard", "--out", tmp_path / "a run")
    outcome = cli(*TRAIN, *options, "--warmup-epochs", 2)
    assert outcome.code == 0
    assert "note: the learning rate rises over 2 epochs, so it will not fall in 1" in outcome.err
    assert shlex.split(outcome.out.splitlines()[-2])[2] == str(tmp_path / "a run" / "best.pt")
    outcome = cli(*TRAIN, *options, "--warmup-epochs", 0, "--overwrite")
    assert outcome.code == 0
    assert re.fullmatch(r"epoch   1/1 [^\n]*\n", outcome.err)  # the log, beside the result in outcome.out
    assert outcome.out.startswith("best test accuracy")
    quiet = cli(*TRAIN, *options, "--warmup-epochs", 2, "--overwrite", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")


def test_training_ends_with_the_next_commands(run: tuple[Path, str], cli: Callable) -> None:
    out, printed = run
    assert printed.count("epoch   1/2") == printed.count("epoch   2/2") == 1
    assert re.search(r"angle \d\d\.\d -> \d\d\.\d°  flipped +\d+\.\d%  [\d,]+ images/s", printed)
    commands = re.findall(r"^  rbnn-deploy (.*)$", printed, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["export", "compare"]
    for command in commands:
        outcome = cli(*command.split())
        assert outcome.code == 0, outcome.out + outcome.err
    assert "All runtimes agree" in outcome.out
    onnx.checker.check_model(onnx.load(out / "model.onnx"))


def test_the_options_reach_the_recipe(run: tuple[Path, str]) -> None:
    head = json.loads((run[0] / "log.jsonl").read_text().splitlines()[0])
    expected = dataclasses.replace(default_recipe(ARCHITECTURE), epochs=2, batch_size=128)
    assert head["recipe"] == dataclasses.asdict(expected)
    assert head["options"]["tensorboard"] is False


def test_the_checkpoint_is_the_references_format(run: tuple[Path, str]) -> None:
    content = torch.load(run[0] / "last.pt", weights_only=True)
    results = [json.loads(line) for line in (run[0] / "log.jsonl").read_text().splitlines()[1:]]
    assert type(content["epoch"]) is int
    assert (content["epoch"], content["model"]) == (2, "resnet8_1w1a")
    assert content["best_prec1"] == 100 * max(result["test_accuracy"] for result in results)
    assert content["best_prec5"] == 100 * max(result["test_top5_accuracy"] for result in results)
    module = load_checkpoint(run[0] / "last.pt").module
    module.load_state_dict(content["state_dict"], strict=True)
    assert isinstance(content["parameters"], list)
    for tensor, parameter in zip(content["parameters"], module.parameters(), strict=True):
        assert torch.equal(tensor, parameter)
    # Written once: the same tensors with all their buffers, and little else.
    size = sum(value.nbytes for value in content["state_dict"].values())
    assert (run[0] / "last.pt").stat().st_size < 1.2 * size


def test_safetensors_are_exported_as_checkpoints_are(
    run: tuple[Path, str], cli: Callable, tmp_path: Path
) -> None:
    models = [tmp_path / "pt.onnx", tmp_path / "safetensors.onnx"]
    for suffix, model in zip(("pt", "safetensors"), models, strict=True):
        outcome = cli("export", run[0] / f"best.{suffix}", "-o", model)
        assert outcome.code == 0, outcome.err
    first, second = map(onnx.load, models)
    assert first.graph == second.graph


def test_a_second_training_is_refused_and_a_finished_one_resumed(
    run: tuple[Path, str], cli: Callable
) -> None:
    arguments = (*TRAIN, "--out", run[0], "--epochs", 2, "--batch-size", 128)
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert (
        outcome.err
        == f"error: {run[0]} holds a training already; continue it with --resume, replace it with "
        "--overwrite, or name another folder\n"
    )
    outcome = cli(*arguments, "--resume")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("best test accuracy")
    outcome = cli(*arguments, "--resume", "--momentum", 0.8)
    assert outcome.code == 2
    assert "begun with momentum 0.9, and this is 0.8" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--recipe", "long"), f"no recipe is called 'long'; choose one of {', '.join(RECIPES)}"),
        (("--device", "cuda:77"), "no device 'cuda:77' here"),
        (("--batch-size", 1), "at least 2 images"),
        (("--amp", "fp8"), "choose bf16"),
        (("--sync-batch-norm",), "needs device cuda"),
        (("--device", "meta"), "training runs on cpu and cuda, not on 'meta'"),
        (("--seed", 2**64), "seed must be below 2^63"),
        (("--data", "digits"), "--data and --dataset both name the images"),
        (("--resume", "--overwrite"), "give one of them"),
    ],
)
def test_wrong_options(options: tuple, message: str, cli: Callable, tmp_path: Path) -> None:
    outcome = cli(*TRAIN, "--out", tmp_path / "run", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_progress_in_words() -> None:
    progress = Progress(3, 12, 40, 195, 1.5312, 0.4321, 1234.5, 200.0)
    assert training_lines.describe_progress(progress) == (
        "epoch 3/12  step 40/195  loss 1.531  train 43.21%  1,234 images/s  3 min 20 s left"
    )
    durations = {
        0.04: "0.0 s",
        9.94: "9.9 s",
        59.4: "59 s",
        61: "1 min 1 s",
        3599: "59 min 59 s",
        7260: "2 h 1 min",
    }
    assert {seconds: training_lines.describe_duration(seconds) for seconds in durations} == durations


def test_progress_is_shown_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        text = ""

        def isatty(self) -> bool:
            return True

    terminal = Terminal()

    def echo(text: str = "", **options: object) -> None:
        if options.get("err"):
            terminal.text += text

    monkeypatch.setattr(meter, "INTERVAL", 0.0)
    monkeypatch.setattr(typer, "get_text_stream", lambda _: terminal)
    monkeypatch.setattr(typer, "echo", echo)
    recipe = dataclasses.replace(default_recipe(ARCHITECTURE), epochs=1, batch_size=256)
    data = load_training_data("digits", ARCHITECTURE)
    training_lines.run_training(
        build_network(ARCHITECTURE), data, recipe, tmp_path / "run", ARCHITECTURE, TrainingOptions()
    )
    assert re.findall(r"step (\d)/5  loss", terminal.text) == list("12345")
    assert re.search(r"left\r\033\[Kepoch   1/1  loss [^\r]*$", terminal.text)  # the line is taken away again


def test_progress_without_a_terminal_is_a_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meter, "INTERVAL", 0.0)
    recipe = dataclasses.replace(default_recipe(ARCHITECTURE), epochs=1, batch_size=256)
    data = load_training_data("digits", ARCHITECTURE)
    for pause, steps in ((0.0, list("12345")), (1e9, [])):
        monkeypatch.setattr(training_lines, "SECONDS_BETWEEN_LINES", pause)
        training_lines.run_training(
            build_network(ARCHITECTURE), data, recipe, tmp_path / str(pause), ARCHITECTURE, TrainingOptions()
        )
        captured = capsys.readouterr()
        assert re.findall(r"step (\d)/5  loss", captured.err) == steps
        assert captured.out == ""


def test_plot_draws_one_and_several(run: tuple[Path, str], cli: Callable, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "both.png"
    outcome = cli("plot", run[0], run[0] / "log.jsonl", "-o", out)
    assert outcome.code == 0, outcome.err
    assert out.read_bytes().startswith(b"\x89PNG")
    outcome = cli("plot", run[0])
    assert outcome.out == f"wrote {run[0] / 'training.png'}\n"
    assert (run[0] / "training.png").read_bytes() != out.read_bytes()


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "no epoch", "other json", "pdf"])
def test_logs_that_cannot_be_drawn(kind: str, run: tuple[Path, str], cli: Callable, tmp_path: Path) -> None:
    lines = (run[0] / "log.jsonl").read_text().splitlines()
    content = {
        "empty": "",
        "text": "no log\n",
        "no epoch": lines[0] + "\n",
        "other json": "[1]\n[2]\n",
        "pdf": "\n".join(lines),
    }
    if kind in content:
        (tmp_path / "log.jsonl").write_text(content[kind])
    outcome = cli("plot", tmp_path, "-o", tmp_path / ("a.pdf" if kind == "pdf" else "a.png"))
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "internal" not in outcome.err
    assert not list(tmp_path.glob("a.p*"))
