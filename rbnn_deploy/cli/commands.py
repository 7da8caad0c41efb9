"""The list of commands; each has a module of its own."""

import typer

from rbnn_deploy.cli.bench import bench
from rbnn_deploy.cli.compare import compare
from rbnn_deploy.cli.demo import demo
from rbnn_deploy.cli.eval import evaluate
from rbnn_deploy.cli.export import export
from rbnn_deploy.cli.info import info
from rbnn_deploy.cli.inspect import inspect
from rbnn_deploy.cli.library import library
from rbnn_deploy.cli.plot import plot
from rbnn_deploy.cli.report import report
from rbnn_deploy.cli.run import run
from rbnn_deploy.cli.train import train


def register(app: typer.Typer) -> None:
    """Adds every command to the application, in the order of a model's life."""
    for command in (train, plot, export, inspect, run):
        app.command()(command)
    app.command("eval")(evaluate)
    for command in (compare, bench, report, demo, info, library):
        app.command()(command)
