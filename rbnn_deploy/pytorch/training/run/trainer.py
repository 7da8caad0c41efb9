"""Trains a network: the entry point."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.checkpoints.checkpoint import save_checkpoint, save_safetensors
from rbnn_deploy.pytorch.folding.fold import unwrapped
from rbnn_deploy.pytorch.folding.user_code import check_float32, check_initialised
from rbnn_deploy.pytorch.training.data.feeds import Data, Feed, open_feed
from rbnn_deploy.pytorch.training.options import TrainingOptions
from rbnn_deploy.pytorch.training.parallel import Processes, process_group, synchronised_batch_norm
from rbnn_deploy.pytorch.training.placement import memory_format, torch_device
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe
from rbnn_deploy.pytorch.training.run.loop import Loop
from rbnn_deploy.pytorch.training.run.results import EpochResult, Progress
from rbnn_deploy.pytorch.training.run.run_folder import BEST, LAST, SAFETENSORS, TENSORBOARD, RunFolder
from rbnn_deploy.pytorch.training.run.state import Identity, State
from rbnn_deploy.pytorch.training.run.tensorboard import open_writer, write_result
from rbnn_deploy.pytorch.training.step.initialise import initialise
from rbnn_deploy.pytorch.training.step.optimizer import build_optimizer
from rbnn_deploy.pytorch.training.step.step import Step


def train(
    module: nn.Module,
    data: Data,
    recipe: TrainingRecipe | None = None,
    out: str | Path | None = None,
    *,
    architecture: str | None = None,
    options: TrainingOptions | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_epoch: Callable[[EpochResult], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[EpochResult]:
    """Trains a network.

    Started by torchrun in several processes, all of them must call it alike; they then train one network.

    Args:
        module: The network, any module; it is trained in place, moved to the options' device, and left in
            evaluation mode. Its logits are [N, classes].
        data: The result of `load_training_data`, or a pair (train_loader, test_loader) of anything that has a
            length and yields batches (float input, int64 labels), such as torch.utils.data.DataLoader.
        recipe: The numbers of the training; None is the paper's. Loaders bring their own batch size and
            augmentation, and the recipe's are ignored.
        out: Folder for `last.pt` and `best.pt` (checkpoints, written after every epoch, and beside them
            the same weights as .safetensors), `log.jsonl` (the recipe, then one line per epoch) and
            `state.pt` (to resume from); None writes nothing.
        architecture: Name of the network in its checkpoints; None takes the module's class.
        options: How it is run; None is on the CPU.
        resume: Continue the training in `out`, if there is one: on a CPU with the same bits as without the
            interruption.
        overwrite: Begin again, whatever `out` holds.
        on_epoch: Called after every epoch, in the main process.
        on_progress: Called about once per second, in the main process.

    Returns:
        One result per epoch, those before an interruption included.

    Raises:
        UserError: The module has no weights yet, others than float32, or no logit for a class;
            there are too few images, a loader yields something other than batches, training diverged,
            `out` holds another training or cannot be written, or the GPU's memory is too small. Files that
            were written before stay.
    """
    check_initialised(module)
    check_float32(module)
    recipe = recipe or TrainingRecipe()
    options = options or TrainingOptions()
    device = torch_device(options)
    name = architecture or type(unwrapped(module)).__name__
    with _refused_where_memory_ends(), process_group(device) as processes:
        source = open_feed(data, recipe, options, processes, device)
        _check_steps(source.steps, processes, device)
        identity = Identity(
            architecture=name,
            recipe=recipe,
            data=source.digest(),
            classes=None if source.class_names is None else len(source.class_names),
            steps=source.steps,
            processes=processes.world_size,
        )
        folder = None if out is None else RunFolder(Path(out))
        state = None
        if folder is not None:
            state = processes.from_main(lambda: folder.open(identity, resume, overwrite))
        initialise(module, recipe)
        with (
            _in_evaluation_mode_afterwards(module),
            synchronised_batch_norm(module, options.sync_batch_norm),
            _in_layout(module.to(device), memory_format(options, device)),
            closing(Step.of(module, build_optimizer(module, recipe), options, processes, device)) as step,
        ):
            loop = Loop(module, step, source, recipe, processes)
            if folder is not None and state is not None:
                try:
                    loop.restore(state)
                except UserError as error:
                    raise UserError(f"cannot continue the training in {folder.path}: {error}") from None
            recorder = _Recorder(folder, identity, options, processes, module, source, loop, on_epoch)
            loop.run(
                recorder.save_state,
                options.checkpoint_every,
                recorder.finish_epoch,
                on_progress if processes.is_main else None,
            )
    return loop.history


@contextmanager
def _refused_where_memory_ends() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise UserError(
            "the GPU's memory is too small for this training; use a smaller batch size, or --amp bf16"
        ) from None


def _check_steps(steps: int, processes: Processes, device: torch.device) -> None:
    """Refuses processes that would wait for each other.

    Raises:
        UserError: They have epochs of different lengths.
    """
    counts = processes.gather(torch.tensor(steps, device=device)).tolist()
    if len(set(counts)) > 1:
        raise UserError(
            f"the processes have {', '.join(map(str, counts))} batches an epoch; give their loaders the same "
            "number of equal batches"
        )


class _Recorder:
    """Writes the files of a training, in the main process."""

    def __init__(
        self,
        folder: RunFolder | None,
        identity: Identity,
        options: TrainingOptions,
        processes: Processes,
        module: nn.Module,
        source: Feed,
        loop: Loop,
        on_epoch: Callable[[EpochResult], None] | None,
    ) -> None:
        self._is_main = processes.is_main
        self._folder = folder if self._is_main else None
        self._identity, self._options = identity, options
        self._module, self._source, self._loop, self._on_epoch = module, source, loop, on_epoch
        self._writer = None
        if self._folder is not None:
            self._writer = open_writer(self._folder.path / TENSORBOARD, options.tensorboard, loop.epoch)

    def save_state(self, state: State) -> None:
        if self._folder is not None:
            self._folder.write_state({"identity": self._identity.to_dict(), **state})

    def finish_epoch(self, result: EpochResult) -> None:
        if self._folder is not None:
            self._save_checkpoints()
            head = {
                "architecture": self._identity.architecture,
                "recipe": asdict(self._identity.recipe),
                "options": asdict(self._options),
                "processes": self._identity.processes,
            }
            self._folder.write_log(head, [asdict(entry) for entry in self._loop.history])
        if self._writer is not None:
            write_result(self._writer, result)
        if self._is_main and self._on_epoch is not None:
            self._on_epoch(result)

    def _save_checkpoints(self) -> None:
        assert self._folder is not None
        *earlier, last = self._loop.history
        best = max(entry.test_accuracy for entry in self._loop.history)
        top5 = [entry.test_top5_accuracy for entry in self._loop.history]
        extra: dict[str, Any] = (
            {} if None in top5 else {"best_prec5": 100 * max(value or 0.0 for value in top5)}
        )
        is_best = all(last.test_accuracy > entry.test_accuracy for entry in earlier)
        entries: dict[str, Any] = {
            "architecture": self._identity.architecture,
            "epoch": last.epoch,
            "best_accuracy": 100 * best,
            "mean": self._source.mean,
            "std": self._source.std,
            "class_names": self._source.class_names,
            "input_shape": self._source.input_shape,
        }
        for file in (LAST, BEST) if is_best else (LAST,):
            path = self._folder.path / file
            save_checkpoint(path, self._module, **entries, **extra)
            save_safetensors(path.with_suffix(SAFETENSORS), self._module, **entries, **extra)


@contextmanager
def _in_evaluation_mode_afterwards(module: nn.Module) -> Iterator[None]:
    try:
        yield
    finally:
        module.eval()


@contextmanager
def _in_layout(module: nn.Module, layout: torch.memory_format) -> Iterator[None]:
    """Keeps the weights of 2-D convolutions in a layout while the network is trained."""
    weights = [p for p in module.parameters() if p.ndim == 4]
    if layout == torch.contiguous_format:
        weights = []
    for weight in weights:
        weight.data = weight.data.contiguous(memory_format=layout)
    try:
        yield
    finally:
        for weight in weights:
            weight.data = weight.data.contiguous()
