"""The training loop."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from rbnn_deploy.checkpoint import save_checkpoint
from rbnn_deploy.errors import UserError
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.layers import set_training_progress, update_rotations
from rbnn_deploy.training.batches import augment, shuffled_batches, to_input
from rbnn_deploy.training.data import TrainingData
from rbnn_deploy.training.evaluation import evaluate
from rbnn_deploy.training.initialise import initialise
from rbnn_deploy.training.optimizer import build_optimizer, set_learning_rate
from rbnn_deploy.training.recipe import TrainingRecipe
from rbnn_deploy.training.results import EpochResult
from rbnn_deploy.training.statistics import rotation_statistics

LAST, BEST, LOG = "last.pt", "best.pt", "log.jsonl"


def train(
    module: nn.Module,
    data: TrainingData,
    recipe: TrainingRecipe,
    out: str | Path | None = None,
    *,
    architecture: str | None = None,
    device: str | torch.device = "cpu",
    on_step: Callable[[int, int, int], None] | None = None,
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> list[EpochResult]:
    """Trains a network.

    Args:
        module: The network; it is trained in place, moved to `device`, and left in evaluation mode.
        data: Training and test images.
        recipe: How.
        out: Folder for `last.pt` and `best.pt` (checkpoints, written after every epoch) and `log.jsonl` (the
            recipe, then one line an epoch); None writes nothing.
        architecture: Name of the network in its checkpoints; None takes the module's class.
        device: Where to train.
        on_step: Called after every step with the epoch (from 1), steps done in it, and steps of an epoch.
        on_epoch: Called after every epoch.

    Returns:
        One result per epoch.

    Raises:
        UserError: There are fewer than two images, the training diverged, or `out` cannot be written; what
            was written before stays.
    """
    device = torch.device(device)
    if len(data.train_labels) < 2:
        raise UserError("there are fewer than 2 training images; add some")
    folder = None if out is None else _make_folder(Path(out))
    module.to(device)
    data = data.to(device)
    initialise(module, recipe)
    optimizer = build_optimizer(module, recipe)
    generator = Generator().manual_seed(recipe.seed)
    name = architecture or type(module).__name__
    history: list[EpochResult] = []
    for epoch in range(recipe.epochs):
        start = time.perf_counter()
        gradient = set_training_progress(module, epoch, recipe.epochs, recipe.t_min, recipe.t_max)
        update_rotations(module)
        steps = max(len(data.train_labels) // recipe.batch_size, 1)
        loss, train_accuracy = _train_epoch(module, data, recipe, optimizer, generator, epoch, on_step)
        if not math.isfinite(loss):
            raise UserError(f"the training diverged in epoch {epoch + 1}; lower the learning rate")
        test_accuracy = evaluate(module, data)
        rotations = rotation_statistics(module)
        result = EpochResult(
            epoch=epoch + 1,
            loss=loss,
            train_accuracy=train_accuracy,
            test_accuracy=test_accuracy,
            learning_rate=recipe.learning_rate_at((epoch + 1) * steps - 1, steps),
            t=gradient.t,
            flipped=None if rotations is None else rotations.flipped,
            cosine=None if rotations is None else rotations.cosine,
            seconds=time.perf_counter() - start,
        )
        is_best = all(test_accuracy > earlier.test_accuracy for earlier in history)
        history.append(result)
        if folder is not None:
            best = max(entry.test_accuracy for entry in history)
            for file in (LAST, BEST) if is_best else (LAST,):
                save_checkpoint(
                    folder / file,
                    module,
                    name,
                    epoch=epoch + 1,
                    best_accuracy=100 * best,
                    mean=data.mean,
                    std=data.std,
                    class_names=data.class_names,
                )
            _write_log(folder / LOG, name, recipe, history)
        if on_epoch is not None:
            on_epoch(result)
    module.eval()
    return history


def _train_epoch(
    module: nn.Module,
    data: TrainingData,
    recipe: TrainingRecipe,
    optimizer: torch.optim.Optimizer,
    generator: Generator,
    epoch: int,
    on_step: Callable[[int, int, int], None] | None,
) -> tuple[float, float]:
    """Runs one epoch's steps; returns the mean loss and the share of images classified rightly."""
    module.train()
    batches = list(shuffled_batches(len(data.train_labels), recipe.batch_size, generator))
    steps = len(batches)
    # Summed on the device: reading a number back would make the host wait for every step.
    loss_sum = torch.zeros((), device=data.train_labels.device)
    correct = torch.zeros_like(loss_sum)
    for step, indices in enumerate(batches):
        set_learning_rate(optimizer, recipe.learning_rate_at(epoch * steps + step, steps))
        chosen = indices.to(data.train_labels.device)
        pixels = augment(data.train_pixels[chosen], recipe.crop_padding, recipe.flip, generator)
        loss, right = _step(
            module, optimizer, to_input(pixels, data.mean, data.std), data.train_labels[chosen]
        )
        loss_sum += loss
        correct += right
        if on_step is not None:
            on_step(epoch + 1, step + 1, steps)
    return float(loss_sum) / steps, float(correct) / sum(len(indices) for indices in batches)


def _step(
    module: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    optimizer.zero_grad(set_to_none=True)
    logits = module(x)
    loss = F.cross_entropy(logits, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach(), (logits.argmax(1) == labels).sum()


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another") from None
    return folder


def _write_log(path: Path, name: str, recipe: TrainingRecipe, history: list[EpochResult]) -> None:
    lines = [{"architecture": name, "recipe": asdict(recipe)}, *(asdict(result) for result in history)]
    atomic_write_bytes(path, "".join(json.dumps(line) + "\n" for line in lines).encode())
