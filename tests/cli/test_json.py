"""docs/json.md names exactly the keys that the commands write."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import typer
from support.json_docs import assert_documented, documented

from rbnn_deploy.cli.app import app
from rbnn_deploy.json_schema import VERSION, with_schema


def test_every_command_gives_json_and_its_schema_is_documented() -> None:
    group = typer.main.get_group(app)
    assert len(group.commands) > 8
    for name, command in group.commands.items():
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, name
        assert documented(f"rbnn-deploy.{name}/{VERSION}")


def test_train_and_plot(cli: Callable, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    options = ("--epochs", 1, "--batch-size", 512, "--no-tensorboard", "--out", tmp_path)
    outcome = cli(*("train", "--arch", "digits/resnet8_1w1a", "--dataset", "digits", *options), "--json", "-")
    assert outcome.code == 0, outcome.err
    assert_documented(json.loads(outcome.out))
    assert "\nepoch   1/1" in outcome.err
    pytest.importorskip("matplotlib")
    assert_documented(json.loads(cli("plot", tmp_path, "--json", "-").out))


@pytest.mark.parametrize("options", [[], ["--no-simplify"]])
def test_export(options: list[str], cli: Callable, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    outcome = cli("export", checkpoint, "-o", target, "--json", "-", *options)
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    absent = {key for key in documented(content["schema"]) if options and key.startswith("notes")}
    assert_documented(content, absent={"int8_layers[]", *absent})
    assert content["size"] == target.stat().st_size
    assert content["nodes"] == Counter(node.op_type for node in onnx.load(target).graph.node)


def test_demo(cli: Callable, tmp_path: Path) -> None:
    outcome = cli("demo", "--out", tmp_path, "--epochs", 1, "--json", "-")
    assert outcome.code == 0, outcome.err
    assert_documented(json.loads(outcome.out))
    assert "All runtimes agree" in outcome.err


def test_report(cli: Callable, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert cli("inspect", model, "--json", tmp_path / "a.json").code == 0
    outcome = cli("report", tmp_path / "a.json", "-o", tmp_path / "a.html", "--json", "-")
    assert outcome.code == 0, outcome.err
    assert_documented(json.loads(outcome.out))


def test_info(cli: Callable) -> None:
    outcome = cli("info", "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    features = set() if content["library"]["cpu_features"] else {"library.cpu_features[]"}
    assert_documented(content, absent=features)


@pytest.mark.parametrize("form", ["checkpoint", "model"])
def test_inspect(form: str, cli: Callable, request: pytest.FixtureRequest) -> None:
    outcome = cli("inspect", request.getfixturevalue(form), "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert_documented(content, absent={key for key in documented(content["schema"]) if "devices" in key})


def test_inspect_devices(cli: Callable, model: Path) -> None:
    outcome = cli("inspect", model, "--device", "cortex-m7,cortex-a72", "--json", "-")
    assert outcome.code == 0, outcome.err
    assert_documented(json.loads(outcome.out))


def test_run(cli: Callable, model: Path, image_folder: Path) -> None:
    outcome = cli("run", model, image_folder, "--json", "-")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert_documented(content)
    assert len(content["images"]) == 30


def test_eval(cli: Callable, model: Path, image_folder: Path) -> None:
    outcome = cli("eval", model, "--data", image_folder, "--json", "-")
    assert outcome.code == 0, outcome.err
    assert_documented(json.loads(outcome.out))


def test_compare(cli: Callable, model: Path, image_folder: Path) -> None:
    outcome = cli(
        "compare",
        model,
        *("--data", image_folder, "--runtimes", "ort,numpy", "--min-agreement", 1, "--layers", "--json", "-"),
    )
    assert outcome.code == 0, outcome.err
    assert_documented(json.loads(outcome.out), absent={"failed_gates[]", "notes[]"})


def test_compare_without_layers_and_labels(cli: Callable, model: Path) -> None:
    outcome = cli("compare", model, "--random", 2, "--runtimes", "ort,numpy", "--json", "-")
    content = json.loads(outcome.out)
    layers = {key for key in documented(content["schema"]) if key.startswith("layers")}
    assert_documented(content, absent={"failed_gates[]", "notes[]", "accuracy.*", *layers})


def test_bench(cli: Callable, small_model_path: Path) -> None:
    common = ["bench", small_model_path, "--baseline", "fp32", "--runs", 1, "--json", "-"]
    outcome = cli(*common)
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    absent = {key for key in documented(content["schema"]) if key.startswith("int8_layers[]")}
    absent |= set() if content["host"]["warnings"] else {"host.warnings[]"}
    assert_documented(content, absent=absent)
    sweep = json.loads(cli(*common, "--batch", "1,2").out)
    assert_documented(sweep)
    assert [entry["batch"] for entry in sweep["benchmarks"]] == [1, 2]
    assert {entry["schema"] for entry in sweep["benchmarks"]} == {content["schema"]}


def test_a_key_that_is_not_documented_is_found() -> None:
    with pytest.raises(AssertionError):
        assert_documented(with_schema("sweep", {"benchmarks": [], "more": 1}))
    with pytest.raises(AssertionError):
        assert_documented(with_schema("sweep", {}))
    with pytest.raises(AssertionError, match="not list"):
        assert_documented(with_schema("sweep", {"benchmarks": 1}))
    with pytest.raises(AssertionError, match="does not describe"):
        assert_documented({"schema": f"rbnn-deploy.sweep/{VERSION + 1}"})
