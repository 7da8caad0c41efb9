"""One training step, and its wrappers: mixed precision, compilation, several processes."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rbnn_deploy.pytorch.layers import SignGradient
from rbnn_deploy.pytorch.training.options import TrainingOptions
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.placement import amp_type
from rbnn_deploy.pytorch.training.step.compiled import CompiledGradient


@dataclass(frozen=True)
class Step:
    """Forward, backward and the optimizer's step; nothing in it makes the host wait for the device.

    Attributes:
        forward: The module, wrapped.
        optimizer: Of its parameters.
        device: Where they are.
        amp: The type that autocast computes in; None for float32 throughout.
        compiled: Takes the sign's gradient of every epoch, if the module is compiled.
    """

    forward: Any
    optimizer: torch.optim.Optimizer
    device: torch.device
    amp: torch.dtype | None
    compiled: CompiledGradient | None = None

    @classmethod
    def of(
        cls,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: TrainingOptions,
        processes: Processes,
        device: torch.device,
    ) -> "Step":
        """Wraps a module; its own parameters, on `device`, are those that are trained."""
        forward: Any = module
        if processes.world_size > 1:
            forward = DistributedDataParallel(
                module,
                device_ids=[device] if device.type == "cuda" else None,
                # The loop copies rotations and running statistics once per epoch, not in every step.
                forward_sync_buffers=False,
                gradient_as_bucket_view=True,
            )
        compiled = None
        if options.compile:
            forward, compiled = torch.compile(forward), CompiledGradient(module, device)
        return cls(forward, optimizer, device, amp_type(options), compiled)

    def begin_epoch(self, gradient: SignGradient) -> None:
        """Takes the sign's gradient that the module's layers have in an epoch."""
        if self.compiled is not None:
            self.compiled.set(gradient)

    def backward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the gradients of a batch's mean cross-entropy, averaged over the processes.

        Returns:
            The loss, and the number of images classified rightly; both stay on the device.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.amp, enabled=self.amp is not None):
            logits = self.forward(x)
            loss = F.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def __call__(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Does a step; see `backward`."""
        result = self.backward(x, labels)
        self.optimizer.step()
        return result
