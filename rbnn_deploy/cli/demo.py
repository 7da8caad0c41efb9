"""`rbnn-deploy demo`: the whole street on data that is built in."""

import statistics
import sys
import time
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rbnn_deploy.cli.output import STDOUT, JsonFile, check_writable, give_result
from rbnn_deploy.json_schema import with_schema

ARCHITECTURE = "digits/resnet8_1w1a"
RUNTIMES = ("torch", "ort", "ort-portable", "numpy")
TIMED_RUNS = 30


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and the model.")] = Path("runs/demo"),
    epochs: Annotated[int | None, typer.Option(help="Length of the training.")] = None,
    json: JsonFile = None,
) -> None:
    """Train on handwritten digits, export, compare all runtimes: the whole street in two minutes."""
    from rbnn_deploy import api

    api.require("train", "torch", "sklearn")
    api.require("export", "onnxscript", "onnxsim")
    if json is not None:
        check_writable(json)
    # The steps are commands of their own, with results of their own.
    with redirect_stdout(sys.stderr) if json == STDOUT else nullcontext():
        text, content, ok = _walk(out, epochs)
    give_result(text, with_schema("demo", content), json)
    if not ok:
        raise typer.Exit(1)


def _walk(out: Path, epochs: int | None) -> tuple[str, dict[str, Any], bool]:
    """Walks the street; returns the summary, the same for JSON, and whether all runtimes agree."""
    import torch

    from rbnn_deploy import api
    from rbnn_deploy.cli.export import export
    from rbnn_deploy.cli.inspect import inspect
    from rbnn_deploy.cli.samples import test_samples
    from rbnn_deploy.cli.training_lines import run_training
    from rbnn_deploy.comparing import compare
    from rbnn_deploy.inspecting import format_bytes
    from rbnn_deploy.pytorch.networks import build_network
    from rbnn_deploy.pytorch.training import TrainingOptions, default_recipe, load_training_data
    from rbnn_deploy.text_layout import table

    recipe = default_recipe(ARCHITECTURE)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    _title(1, f"train {ARCHITECTURE} on scikit-learn's handwritten digits")
    # On a busy machine two threads that wait for each other at every small layer are far slower than one.
    torch.set_num_threads(1)
    data = load_training_data("digits", ARCHITECTURE)
    torch.manual_seed(recipe.seed)
    network = build_network(ARCHITECTURE)
    run_training(network, data, recipe, out, ARCHITECTURE, TrainingOptions(), overwrite=True)
    checkpoint, model = out / "last.pt", out / "model.onnx"

    _title(2, f"rbnn-deploy export {checkpoint} -o {model}")
    export(checkpoint, model)
    _title(3, f"rbnn-deploy inspect {model}")
    inspect(model)
    _title(4, f"rbnn-deploy compare {model} --checkpoint {checkpoint} --data digits --layers")
    trained = api.load_checkpoint(checkpoint)
    samples = test_samples(model, "digits", None)
    report = compare(
        model,
        trained.module,
        samples.batches(lambda _: None),
        labels=samples.labels,
        runtimes=RUNTIMES,
        layers=True,
    )
    typer.echo(report.to_text())

    _title(5, "summary")
    x = next(samples.make())[:1]
    runs = {"torch": lambda: trained.module(torch.from_numpy(x))}
    for name in RUNTIMES[1:]:
        loaded = api.load_model(model, name, threads=1)
        runs[name] = lambda loaded=loaded: loaded.run(x)  # type: ignore[misc]
    with torch.no_grad():
        times = _interleaved_medians(runs)
    rows = [
        (
            "torch (float)" if name == "torch" else name,
            f"{report.accuracy[name]:.2%}",
            f"{1e3 * times[name]:.2f} ms",
        )
        for name in RUNTIMES
    ]
    sizes = checkpoint.stat().st_size, model.stat().st_size
    lines = [
        table(("runtime", "test accuracy", "one image, one thread"), rows, text_columns=1),
        f"checkpoint {format_bytes(sizes[0])}, deployed model {format_bytes(sizes[1])}: {model}",
        "the times are rough; `rbnn-deploy bench` measures properly",
    ]
    content = {
        "checkpoint": str(checkpoint),
        "checkpoint_bytes": sizes[0],
        "model": str(model),
        "model_bytes": sizes[1],
        "accuracy": report.accuracy,
        "milliseconds": {name: 1e3 * times[name] for name in RUNTIMES},
        "ok": report.ok,
    }
    return "\n".join(lines), content, report.ok


def _title(number: int, text: str) -> None:
    typer.echo(f"\n[{number}/5] {text}")


def _interleaved_medians(runs: dict) -> dict[str, float]:  # type: ignore[type-arg]
    """Times functions in turn, so that the machine's drift meets all of them; seconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(TIMED_RUNS):
        for name, function in runs.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[3:]) for name, values in times.items()}
