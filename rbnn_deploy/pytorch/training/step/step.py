"""One training step, and its wrappers: mixed precision, compilation, several processes."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import SignGradient
from rbnn_deploy.pytorch.training.options import TrainingOptions
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.placement import amp_type
from rbnn_deploy.pytorch.training.step.compiled import CompiledGradient

IGNORED = -100  # the label of inputs that cross-entropy leaves out


@dataclass(frozen=True)
class Step:
    """Forward, backward and the optimizer's step; nothing in it makes the host wait for the device.

    Attributes:
        forward: The module, wrapped.
        optimizer: Of its parameters.
        device: Where they are.
        amp: The type that autocast computes in; None for float32 throughout.
        compiled: Takes the sign's gradient of every epoch, if the module is compiled.
        shared: What averages the gradients over the processes, if there are several.
    """

    forward: Any
    optimizer: torch.optim.Optimizer
    device: torch.device
    amp: torch.dtype | None
    compiled: CompiledGradient | None = None
    shared: DistributedDataParallel | None = None

    @classmethod
    def of(
        cls,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: TrainingOptions,
        processes: Processes,
        device: torch.device,
    ) -> "Step":
        """Wraps a module; its own parameters, on `device`, are those that are trained.

        With several processes, close the step before their group ends.
        """
        forward: Any = module
        shared = None
        if processes.world_size > 1:
            forward = shared = DistributedDataParallel(
                module,
                device_ids=[device] if device.type == "cuda" else None,
                # The loop copies rotations and running statistics once per epoch, not in every step.
                forward_sync_buffers=False,
                gradient_as_bucket_view=True,
            )
        compiled = None
        if options.compile:
            forward, compiled = torch.compile(forward), CompiledGradient(module, device)
        return cls(forward, optimizer, device, amp_type(options), compiled, shared)

    def close(self) -> None:
        """Frees the reducer of gradients.

        If it outlived the process group, it would be the last owner of Gloo's threads. It would wait for them
        and hold the GIL; a thread that needs the GIL to free a tensor would then never end.
        """
        if self.shared is not None:
            del self.shared.reducer, self.shared.logger

    def begin_epoch(self, gradient: SignGradient) -> None:
        """Takes the sign's gradient that the module's layers have in an epoch."""
        if self.compiled is not None:
            self.compiled.set(gradient)

    def backward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the gradients of a batch's mean cross-entropy, averaged over the processes.

        Returns:
            The loss, and the number of images classified rightly; both stay on the device.

        Raises:
            UserError: See `check_logits`.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.amp, enabled=self.amp is not None):
            logits = self.forward(x)
            check_logits(logits, labels)
            loss = F.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def __call__(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Does a step; see `backward`."""
        result = self.backward(x, labels)
        self.optimizer.step()
        return result


def check_logits(logits: Any, labels: Tensor) -> None:
    """Checks that a network has a logit for every class; a GPU's labels would have to be waited for.

    Args:
        logits: What the network returned.
        labels: int64 [N].

    Raises:
        UserError: It is no tensor [N, classes], or a label on the CPU is none of these classes.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels):
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"the network returns {found} for {len(labels)} inputs; return one row of logits for each, "
            "[N, classes]"
        )
    classes = logits.shape[1]
    if labels.device.type == "cpu":
        wrong = labels[(labels >= classes) | ((labels < 0) & (labels != IGNORED))]
        if len(wrong):
            raise UserError(
                f"a label is {int(wrong[0])}, but the network has {classes} logits, for classes 0 to "
                f"{classes - 1}; number the classes from 0, or build it with more logits"
            )
