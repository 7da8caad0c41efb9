"""Draws the logs of trainings: loss, accuracy, angles and flipped signs."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.pytorch.training.run.run_folder import LOG

COLOURS = ("#2a6f97", "#c9a227", "#7b4b94", "#3a7d44", "#b23a48", "#9aa5b1")


@dataclass(frozen=True)
class Run:
    """The log of a training.

    Attributes:
        name: Of its folder.
        architecture: Of its network.
        epochs: How many it should have.
        results: One dict an epoch, as `EpochResult` has its fields.
    """

    name: str
    architecture: str
    epochs: int
    results: list[dict[str, Any]]

    def curve(self, key: str, scale: float = 1.0) -> tuple[list[int], list[float]]:
        """Returns the epochs that have a number, and the numbers."""
        points = [(r["epoch"], scale * r[key]) for r in self.results if r.get(key) is not None]
        return [epoch for epoch, _ in points], [value for _, value in points]


def read_run(path: Path) -> Run:
    """Reads the log of a training.

    Args:
        path: The training's folder, or the log itself.

    Raises:
        UserError: There is no log, it is damaged, or no epoch is done.
    """
    log = path / LOG if path.is_dir() else path
    try:
        head, *results = [json.loads(line) for line in log.read_text().splitlines()]
        run = Run(
            log.resolve().parent.name, str(head["architecture"]), int(head["recipe"]["epochs"]), results
        )
        for key in ("epoch", "loss", "train_accuracy", "test_accuracy"):
            run.curve(key)
    except OSError as error:
        raise UserError(f"cannot read {log}: {error.strerror}; name the --out folder of a training") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{log} is no log of a training; name the --out folder of a training") from None
    if not results:
        raise UserError(f"{log} has no epoch yet; wait until one is done")
    return run


def write_training_plot(runs: Sequence[Run], path: Path) -> None:
    """Draws trainings over each other, as a PNG file, written whole or not at all.

    Args:
        runs: One or more; each has a colour.
        path: The file.

    Raises:
        UserError: See `rbnn_deploy.files.atomic_write`.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(10, 7), layout="constrained")
    (loss, accuracy), (angle, flipped) = figure.subplots(2, 2, sharex=True)
    for index, run in enumerate(runs):
        colour = COLOURS[index % len(COLOURS)]
        label = run.name
        style: dict[str, Any] = {"color": colour, "marker": "o" if len(run.results) == 1 else None}
        best = max(run.curve("test_accuracy", 100)[1])
        loss.plot(*run.curve("loss"), **style, label=label)
        accuracy.plot(*run.curve("train_accuracy", 100), linestyle=":", **style)
        accuracy.plot(*run.curve("test_accuracy", 100), **style, label=f"{label}: best {best:.2f} %")
        angle.plot(*run.curve("angle_before"), linestyle=":", **style)
        angle.plot(*run.curve("angle_after"), **style, label=label)
        flipped.plot(*run.curve("flipped", 100), **style, label=label)
        flipped.plot(*run.curve("sine", 100), linestyle=":", **style)
    _label(loss, "training loss", "cross-entropy")
    _label(accuracy, "accuracy: test, and dotted training", "%")
    _label(angle, "angle between weights and signs: rotated, and dotted before", "degrees")
    _label(flipped, "signs flipped by the rotation, and dotted |sin θ|", "%")
    for axes in (loss, accuracy):
        axes.legend(frameon=False, fontsize=8)
    for axes in (angle, flipped):
        axes.set_xlabel("epoch")
    figure.suptitle(", ".join(dict.fromkeys(run.architecture for run in runs)), fontsize=11)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    atomic_write_bytes(path, image.getvalue())


def _label(axes: Any, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.xaxis.get_major_locator().set_params(integer=True)
