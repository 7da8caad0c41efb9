"""Runs a training and shows it line by line; for `train` and `demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rbnn_deploy.cli.output import note, shows_progress
from rbnn_deploy.pytorch.training import EpochResult, TrainingOptions, TrainingRecipe, train
from rbnn_deploy.pytorch.training.data.feeds import Data
from rbnn_deploy.pytorch.training.run.results import Progress

if TYPE_CHECKING:
    from torch import nn

SECONDS_BETWEEN_LINES = 30.0  # where no terminal is; an epoch may take minutes, a training days


def run_training(
    network: nn.Module,
    data: Data,
    recipe: TrainingRecipe,
    out: Path,
    architecture: str,
    options: TrainingOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> list[EpochResult]:
    """Trains a network; tells on standard error of each epoch, and of its progress in between.

    Args:
        network: The network; trained in place.
        data: Its images.
        recipe: The numbers of the training.
        out: Folder for checkpoints, log and state.
        architecture: Full name of the network.
        options: How it is run.
        resume: See `rbnn_deploy.pytorch.training.train`.
        overwrite: Likewise.

    Raises:
        UserError: See `rbnn_deploy.pytorch.training.train`.
    """
    interactive = shows_progress() and typer.get_text_stream("stderr").isatty()

    told = time.monotonic()

    def on_progress(progress: Progress) -> None:
        nonlocal told
        if interactive:
            typer.echo(f"\r\033[K{describe_progress(progress)}", nl=False, err=True)
        elif time.monotonic() - told >= SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            note(describe_progress(progress))

    def on_epoch(result: EpochResult) -> None:
        if interactive:
            typer.echo("\r\033[K", nl=False, err=True)
        note(describe_result(result, recipe.epochs))

    return train(
        network,
        data,
        recipe,
        out,
        architecture=architecture,
        options=options,
        resume=resume,
        overwrite=overwrite,
        on_epoch=on_epoch,
        on_progress=on_progress if shows_progress() else None,
    )


def describe_progress(progress: Progress) -> str:
    """Returns one line about a running epoch."""
    return (
        f"epoch {progress.epoch}/{progress.epochs}  step {progress.step}/{progress.steps}  "
        f"loss {progress.loss:.3f}  train {progress.accuracy:6.2%}  "
        f"{progress.images_per_second:,.0f} images/s  {describe_duration(progress.seconds_left)} left"
    )


def describe_result(result: EpochResult, epochs: int) -> str:
    """Returns one line about an epoch that is done."""
    rotations = ""
    if result.flipped is not None:
        rotations = (
            f"  angle {result.angle_before:.1f} -> {result.angle_after:.1f}°  flipped {result.flipped:5.1%}"
        )
    return (
        f"epoch {result.epoch:3d}/{epochs}  loss {result.loss:.3f}  train {result.train_accuracy:6.2%}  "
        f"test {result.test_accuracy:6.2%}{rotations}  {result.images_per_second:,.0f} images/s  "
        f"{describe_duration(result.seconds)}"
    )


def describe_duration(seconds: float) -> str:
    """Returns a duration in its two largest units."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
