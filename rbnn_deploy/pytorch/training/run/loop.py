"""The training loop: epochs of steps, with everything that must survive an interruption in one place."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import SignGradient, binary_layers, set_training_progress
from rbnn_deploy.pytorch.training.data.batches import Batch
from rbnn_deploy.pytorch.training.data.feeds import Feed
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe
from rbnn_deploy.pytorch.training.run.evaluation import TOP, count_right
from rbnn_deploy.pytorch.training.run.meter import Meter, Reporter, check_finite
from rbnn_deploy.pytorch.training.run.results import EpochResult, Progress
from rbnn_deploy.pytorch.training.run.state import State, load_module, random_states, set_random_states
from rbnn_deploy.pytorch.training.run.statistics import rotation_statistics
from rbnn_deploy.pytorch.training.step.cudnn import cudnn_setting
from rbnn_deploy.pytorch.training.step.optimizer import set_learning_rate
from rbnn_deploy.pytorch.training.step.step import Step


class Loop:
    """A training between its first and its last step.

    Args:
        module: The network, on the device, initialised.
        step: Its training step.
        source: Its batches.
        recipe: Its numbers.
        processes: Who trains.

    Attributes:
        epoch: Epochs done.
        history: One result per epoch done.
    """

    def __init__(
        self, module: nn.Module, step: Step, source: Feed, recipe: TrainingRecipe, processes: Processes
    ) -> None:
        self.epoch = 0
        self.history: list[EpochResult] = []
        self._module, self._step, self._source = module, step, source
        self._recipe, self._processes = recipe, processes
        self._steps_done = 0  # in the present epoch
        self._seconds = 0.0  # that it took before it was interrupted
        self._meter = Meter(step.device)
        self._random_at_start: dict[str, torch.Tensor] = {}
        self._random_now: dict[str, torch.Tensor] | None = None
        self._gradients_checked = False

    def run(
        self,
        save: Callable[[State], None],
        checkpoint_every: int | None,
        on_epoch: Callable[[EpochResult], None],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        """Trains to the end.

        Args:
            save: Called by every process with the state, at the start, after every epoch and in between.
            checkpoint_every: Steps of an epoch between two calls in between; None for none.
            on_epoch: Called by every process after every epoch, before `save`.
            on_progress: Called about once per second.

        Raises:
            UserError: The training diverged.
        """
        steps = self._source.steps
        reporter = Reporter(
            on_progress, self._recipe.epochs, steps, self._processes.world_size, self._step.device
        )
        if self.epoch == 0 and self._steps_done == 0:
            self._check_weights()
            self._random_at_start = self._random_states()
            save(self._state(time.perf_counter()))
        # cuDNN times its kernels and keeps the fastest: a training's shapes do not change.
        with cudnn_setting("benchmark", True), self._plain_gradients():
            while self.epoch < self._recipe.epochs:
                begun = time.perf_counter() - self._seconds
                gradient = self._set_gradient(self.epoch)
                self._step.begin_epoch(gradient)
                if self._steps_done == 0:
                    self._begin_epoch()
                self._module.train()
                reporter.begin_epoch(self._meter)
                for x, labels in self._batches():
                    done = self.epoch * steps + self._steps_done
                    set_learning_rate(self._step.optimizer, self._recipe.learning_rate_at(done, steps))
                    self._meter.add(*self._step(x, labels), len(labels))
                    self._check_gradients()
                    self._steps_done += 1
                    reporter.step(self._meter, self.epoch, self._steps_done)
                    if self._steps_done < steps and self._steps_done % (checkpoint_every or steps) == 0:
                        self._check_values()
                        save(self._state(begun))
                self._check_values()  # which waits for the last step
                rate = reporter.images_per_second(self._meter.images)
                on_epoch(self._finish_epoch(gradient, rate, begun))
                save(self._state(time.perf_counter()))

    @contextmanager
    def _plain_gradients(self) -> Iterator[None]:
        """Leaves numbers in the layers' gradients, where a compiled step has tensors."""
        try:
            yield
        finally:
            self._set_gradient(min(self.epoch, self._recipe.epochs - 1))

    def restore(self, state: State) -> None:
        """Continues from a state that `run` saved; the module and the optimizer take their part of it.

        Raises:
            UserError: It belongs to another network.
        """
        load_module(self._module, self._step.optimizer, state)
        self.epoch, self._steps_done, self._seconds = state["epoch"], state["step"], state["seconds"]
        self.history = [EpochResult(**result) for result in state["history"]]
        self._meter.totals.copy_(state["totals"][self._processes.rank])
        self._meter.images = state["images"][self._processes.rank]
        self._random_at_start, now = state["random_at_start"], state["random_now"]
        # In mid-epoch, the source first draws the random numbers that the steps already done drew.
        begin = self._random_at_start if self._steps_done else now
        self._set_random_states(begin)
        self._random_now = now if self._steps_done else None

    def _set_gradient(self, epoch: int) -> SignGradient:
        recipe = self._recipe
        return set_training_progress(self._module, epoch, recipe.epochs, recipe.t_min, recipe.t_max)

    def _begin_epoch(self) -> None:
        """Learns the rotations, once for all processes: an SVD need not give the same bits everywhere."""
        layers = [layer for _, layer in binary_layers(self._module)]
        if self._processes.is_main:
            for layer in layers:
                layer.begin_epoch()
        self._processes.broadcast([buffer for layer in layers for buffer in layer.buffers()])
        self._meter.reset()
        self._random_at_start = self._random_states()

    def _random_states(self) -> dict[str, torch.Tensor]:
        return random_states(self._processes, self._step.device, self._source.generators)

    def _set_random_states(self, states: dict[str, torch.Tensor]) -> None:
        set_random_states(states, self._processes, self._step.device, self._source.generators)

    def _batches(self) -> Iterator[Batch]:
        """Returns the epoch's remaining batches, and sets the generators to their saved states."""
        batches = self._source.train(self.epoch, self._steps_done)
        if self._random_now is not None:
            self._set_random_states(self._random_now)
            self._random_now = None
        return batches

    def _check_weights(self) -> None:
        """Refuses a network that cannot be trained.

        Raises:
            UserError: It has no parameters to train, or some are not finite.
        """
        if not any(p.requires_grad for p in self._module.parameters()):
            raise UserError(
                "the network has no parameter that requires a gradient; there is nothing to train"
            )
        if not self._is_finite():
            raise UserError("the network's weights are not finite; initialise or load them again")

    def _check_gradients(self) -> None:
        """Refuses parameters that DistributedDataParallel cannot average: it would wait for them for ever.

        Raises:
            UserError: After the first step, a parameter has no gradient.
        """
        if self._processes.world_size == 1 or self._gradients_checked:
            return
        self._gradients_checked = True
        unused = [name for name, p in self._module.named_parameters() if p.requires_grad and p.grad is None]
        if unused:
            raise UserError(
                f"the loss does not depend on {', '.join(unused)}, which several processes cannot train; "
                "remove them, or set their requires_grad to False"
            )

    def _is_finite(self) -> bool:
        finite = [p.detach().isfinite().all() for p in self._module.parameters()]
        return bool(torch.stack(finite).all())

    def _check_values(self) -> None:
        """Stops before numbers that are not finite are saved.

        Raises:
            UserError: The sum of losses, or a parameter, is not finite.
        """
        loss = float(self._meter.totals[0])
        check_finite(loss if self._is_finite() else float("nan"), self.epoch)

    def _finish_epoch(self, gradient: SignGradient, rate: float, begun: float) -> EpochResult:
        if self._processes.world_size > 1:  # running means and variances; the rotations are the same already
            self._processes.broadcast(list(self._module.buffers()))
        totals = self._processes.gather(self._meter.totals).sum(0).tolist()
        images = sum(self._images())
        counts = count_right(self._module, self._source.test(), self._step.device)
        counts = self._processes.gather(counts)
        right, right5, tested, _ = counts.sum(0).tolist()
        rotations = rotation_statistics(self._module)
        measures = dict.fromkeys(
            ("flipped", "cosine_before", "cosine_after", "angle_before", "angle_after", "sine")
        )
        steps = self._source.steps
        result = EpochResult(
            epoch=self.epoch + 1,
            loss=totals[0] / images,
            train_accuracy=totals[1] / images,
            test_accuracy=right / max(tested, 1),
            test_top5_accuracy=right5 / max(tested, 1) if int(counts[:, 3].max()) > TOP else None,
            learning_rate=self._recipe.learning_rate_at((self.epoch + 1) * steps - 1, steps),
            t=gradient.t,
            k=gradient.k,
            **(measures if rotations is None else asdict(rotations)),
            images_per_second=rate,
            seconds=time.perf_counter() - begun,
        )
        self.history.append(result)
        self.epoch += 1
        self._steps_done, self._seconds = 0, 0.0
        self._meter.reset()
        return result

    def _state(self, begun: float) -> State:
        """Returns everything that the rest of the training depends on; all processes must call it."""
        return {
            "epoch": self.epoch,
            "step": self._steps_done,
            "seconds": time.perf_counter() - begun,
            "history": [asdict(result) for result in self.history],
            "module": self._module.state_dict(),
            "optimizer": self._step.optimizer.state_dict(),
            "totals": self._processes.gather(self._meter.totals).cpu(),
            "images": self._images(),
            "random_at_start": self._random_at_start,
            "random_now": self._random_states(),
        }

    def _images(self) -> list[int]:
        """Returns the images of the present epoch, by process; all processes must call it."""
        images = torch.tensor(self._meter.images, device=self._step.device)
        return self._processes.gather(images).tolist()
