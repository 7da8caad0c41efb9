"""`rbnn-deploy bench`."""

import tempfile
from json import loads
from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import JsonFile, check_writable, give_result, live_progress, note
from rbnn_deploy.cli.remote import (
    REMOTE_PYTHON,
    HostOption,
    RemotePythonOption,
    WheelOption,
    check_no_host_options,
    run_there,
)
from rbnn_deploy.errors import UserError
from rbnn_deploy.json_schema import with_schema
from rbnn_deploy.model_files import read_model


def bench(
    model: Annotated[Path, typer.Argument(help="A deployed .onnx file.")],
    threads: Annotated[str, typer.Option(help="Computing threads; several numbers make a sweep: 1,2.")] = "1",
    batch: Annotated[str, typer.Option(help="Images in one run; several numbers likewise: 1,8.")] = "1",
    baseline: Annotated[
        str,
        typer.Option(
            help="Networks to compare with, comma-separated: fp32 and int8 (the same topology without binary "
            "layers), portable (the same file without the operator library), or none."
        ),
    ] = "fp32,int8",
    runs: Annotated[
        int | None, typer.Option(help="Rounds to time; as many as fit into --duration if absent.")
    ] = None,
    warmup: Annotated[int, typer.Option(help="Runs of each model before the first round.")] = 2,
    duration: Annotated[
        float | None, typer.Option(help="Seconds of timing; about 20, in 300 rounds at most, if absent.")
    ] = None,
    json: JsonFile = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw them into this .png file.")] = None,
    host: HostOption = None,
    wheel: WheelOption = None,
    remote_python: RemotePythonOption = REMOTE_PYTHON,
) -> None:
    """Time a deployed model and its layers, beside float32 and int8 networks, here or on --host."""
    from rbnn_deploy import benchmarking

    check_no_host_options(host, wheel, remote_python)
    if json is not None:
        check_writable(json, model)
    if host is not None:
        if plot is not None:
            raise UserError("--plot draws times of this host; use --json and rbnn-deploy report")
        options = ["--threads", threads, "--batch", batch, "--baseline", baseline, "--warmup", str(warmup)]
        options += [] if runs is None else ["--runs", str(runs)]
        options += [] if duration is None else ["--duration", str(duration)]
        _bench_there(host, wheel, remote_python, model, options, json)
        return
    if plot is not None:
        from rbnn_deploy.benchmarking.plot import check_plot

        check_plot(plot)
        check_writable(plot, model, *([] if json is None else [json]))
    names = [name for part in baseline.split(",") if (name := part.strip()) and name != "none"]
    settings = [(t, b) for t in _numbers(threads, "--threads") for b in _numbers(batch, "--batch")]
    if plot is not None and len(settings) > 1:
        raise UserError("--plot draws one benchmark; give one number of --threads and one --batch")
    reports = []
    for count, images in settings:
        if len(settings) > 1:
            note(f"{count} thread{'s' if count > 1 else ''}, batch {images}")
        with live_progress("timing") as advance:
            report = benchmarking.bench(
                model,
                threads=count,
                batch=images,
                baselines=names,
                runs=runs,
                warmup=warmup,
                duration=duration,
                announce=lambda text: note(f"{text} ..."),
                advance=advance,
            )
        reports.append(report)
    if len(reports) == 1:
        give_result(benchmarking.render(report), report.to_json(), json)
    else:
        sweep = {"benchmarks": [report.to_json() for report in reports]}
        give_result(benchmarking.render_sweep(reports), with_schema("sweep", sweep), json)
    if plot is not None:
        from rbnn_deploy.benchmarking.plot import write_plot

        write_plot(report, plot)
        note(f"wrote {plot}")


def _bench_there(
    host: str, wheel: Path | None, remote_python: str, model: Path, options: list[str], json: Path | None
) -> None:
    """Times the model on another host, and gives the result that it gave there."""
    read_model(model)  # before anything travels
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "bench.json"
        command = ["bench", "model.onnx", *options, "--json", "bench.json"]
        text = run_there(
            host, wheel, remote_python, command, sends={"model.onnx": model}, returns={"bench.json": result}
        )
        give_result(text.rstrip("\n"), loads(result.read_bytes()), json)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} takes numbers with commas between them, not {text!r}; try 1,2") from None
