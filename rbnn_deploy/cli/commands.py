"""The list of commands; each has a module of its own."""

import typer

from rbnn_deploy.cli import compare, demo, export, inspect, run, train


def register(app: typer.Typer) -> None:
    """Adds every command to the application, in the order of a model's life."""
    app.command()(train.train)
    app.command()(export.export)
    app.command()(inspect.inspect)
    app.command()(run.run)
    app.command()(compare.compare)
    app.command()(demo.demo)
