"""Runs a training and shows it line by line; for `train` and `demo`."""

import time
from pathlib import Path

import typer
from torch import nn

from rbnn_deploy.training import EpochResult, TrainingData, TrainingRecipe, train


def run_training(
    network: nn.Module, data: TrainingData, recipe: TrainingRecipe, out: Path, architecture: str, device: str
) -> list[EpochResult]:
    """Trains a network, one line an epoch on standard output and steps in between on a terminal.

    Args:
        network: The network; trained in place.
        data: Its images.
        recipe: How.
        out: Folder for checkpoints and log.
        architecture: Full name of the network.
        device: Where to train.

    Raises:
        UserError: See `rbnn_deploy.training.train`.
    """
    start = time.monotonic()
    interactive = typer.get_text_stream("stderr").isatty()

    def on_step(epoch: int, step: int, steps: int) -> None:
        if interactive:
            done = (epoch - 1 + step / steps) / recipe.epochs
            left = (time.monotonic() - start) * (1 - done) / done
            typer.echo(f"\repoch {epoch}, step {step}/{steps}, {left:.0f} s left   ", nl=False, err=True)

    def on_epoch(result: EpochResult) -> None:
        if interactive:
            typer.echo("\r\033[K", nl=False, err=True)
        flipped = "" if result.flipped is None else f"  flipped by rotation {result.flipped:5.1%}"
        typer.echo(
            f"epoch {result.epoch:3d}/{recipe.epochs}  loss {result.loss:.3f}  "
            f"train {result.train_accuracy:6.2%}  test {result.test_accuracy:6.2%}{flipped}  "
            f"{result.seconds:.1f} s"
        )

    return train(
        network,
        data,
        recipe,
        out,
        architecture=architecture,
        device=device,
        on_step=on_step,
        on_epoch=on_epoch,
    )
