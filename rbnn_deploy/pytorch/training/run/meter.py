"""Loss and accuracy of the running epoch, summed on the device and looked at without stopping it."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.run.results import Progress

INTERVAL = 1.0  # seconds between two reports


def check_finite(loss: float, epoch: int) -> None:
    """Stops a training that has diverged.

    Args:
        loss: The loss, or a sum of losses: once one is not finite, neither is the sum.
        epoch: The present one, from 0.

    Raises:
        UserError: The loss is not finite.
    """
    if not math.isfinite(loss):
        raise UserError(
            f"the training diverged in epoch {epoch + 1}; lower the learning rate, or look for "
            "values that are not finite in the images"
        )


class Meter:
    """Sums of one process over one epoch.

    Attributes:
        totals: float64 [2] on the device: losses times images, and images classified rightly.
        images: Images that went into them.
    """

    def __init__(self, device: torch.device) -> None:
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)
        self.images = 0

    def reset(self) -> None:
        """Begins an epoch."""
        self.totals.zero_()
        self.images = 0

    def add(self, loss: Tensor, right: Tensor, images: int) -> None:
        """Adds a step; nothing is read back."""
        self.totals += torch.stack((loss.double() * images, right.double()))
        self.images += images


class Reporter:
    """Reports a meter's values about once per second.

    On a GPU they are copied to the host behind the steps that are queued, and reported when they have
    arrived: the host never waits for them.

    Args:
        report: Takes the progress; None reports nothing, but still stops a training that has diverged.
        epochs: Length of the training.
        steps: Steps of an epoch.
        world_size: Number of processes.
        device: Where the meter is.
    """

    def __init__(
        self,
        report: Callable[[Progress], None] | None,
        epochs: int,
        steps: int,
        world_size: int,
        device: torch.device,
    ) -> None:
        self._report, self._epochs, self._steps, self._world_size = report, epochs, steps, world_size
        self._device, self._cuda = device, device.type == "cuda"
        self._host = torch.zeros(2, dtype=torch.float64, pin_memory=self._cuda)
        self._pending: tuple[torch.cuda.Event, int, int, int] | None = None
        self._begun = self._last = time.monotonic()
        self._done_before: float | None = None
        self._epoch_begun, self._images_before = self._begun, 0

    def begin_epoch(self, meter: Meter) -> None:
        """Begins to count an epoch's images; some of them may lie before an interruption."""
        self._epoch_begun, self._images_before = time.monotonic(), meter.images
        self._pending = None

    def images_per_second(self, images: int) -> float:
        """Returns the rate since the epoch began, over all processes."""
        elapsed = max(time.monotonic() - self._epoch_begun, 1e-9)
        return (images - self._images_before) * self._world_size / elapsed

    def step(self, meter: Meter, epoch: int, step: int) -> None:
        """Takes note of a step.

        Args:
            meter: The epoch's sums.
            epoch: The present one, from 0.
            step: Steps done in it.

        Raises:
            UserError: The training has diverged.
        """
        if self._done_before is None:
            self._done_before = epoch * self._steps + step - 1
        if self._pending is not None:
            event, *at = self._pending
            if event.query():  # type: ignore[no-untyped-call]
                self._pending = None
                self._show(*at)
        elif time.monotonic() - self._last >= INTERVAL:
            self._last = time.monotonic()
            self._host.copy_(meter.totals, non_blocking=True)
            if self._cuda:
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record(torch.cuda.current_stream(self._device))
                self._pending = (event, epoch, step, meter.images)
            else:
                self._show(epoch, step, meter.images)

    def _show(self, epoch: int, step: int, images: int) -> None:
        loss, right = self._host.tolist()
        check_finite(loss, epoch)
        if self._report is None:
            return
        done = epoch * self._steps + step
        rate = (done - (self._done_before or 0)) / max(time.monotonic() - self._begun, 1e-9)
        self._report(
            Progress(
                epoch=epoch + 1,
                epochs=self._epochs,
                step=step,
                steps=self._steps,
                loss=loss / images,
                accuracy=right / images,
                images_per_second=self.images_per_second(images),
                seconds_left=(self._epochs * self._steps - done) / max(rate, 1e-9),
            )
        )
