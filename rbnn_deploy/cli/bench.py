"""`rbnn-deploy bench`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import check_writable, write_json


def bench(
    model: Annotated[Path, typer.Argument(help="A deployed .onnx file.")],
    threads: Annotated[int, typer.Option(help="Computing threads.")] = 1,
    batch: Annotated[int, typer.Option(help="Images in one run.")] = 1,
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
    json: Annotated[Path | None, typer.Option(help="Also write the numbers to this JSON file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw them into this .png file.")] = None,
) -> None:
    """Time a deployed model and its layers on this machine, beside float32 and int8 networks."""
    from rbnn_deploy import benchmarking

    if json is not None:
        check_writable(json, model)
    if plot is not None:
        from rbnn_deploy.benchmarking.plot import check_plot

        check_plot(plot)
        check_writable(plot, model, *([] if json is None else [json]))
    names = [name for part in baseline.split(",") if (name := part.strip()) and name != "none"]

    def announce(text: str) -> None:
        typer.echo(f"{text} ...", err=True)

    def advance(done: int, total: int) -> None:
        if done % max(total // 10, 1) == 0:
            typer.echo(f"  round {done} of {total}", err=True)

    report = benchmarking.bench(
        model,
        threads=threads,
        batch=batch,
        baselines=names,
        runs=runs,
        warmup=warmup,
        duration=duration,
        announce=announce,
        advance=advance,
    )
    typer.echo(benchmarking.render(report))
    if json is not None:
        write_json(json, report.to_json())
    if plot is not None:
        from rbnn_deploy.benchmarking.plot import write_plot

        write_plot(report, plot)
        typer.echo(f"wrote {plot}")
