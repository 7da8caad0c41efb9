"""One training in several processes, as torchrun starts them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rbnn_deploy.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a training; every method that exchanges something must be called by all of them.

    Attributes:
        rank: This one's number.
        world_size: How many there are.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def current(cls) -> "Processes":
        """Returns those of torch.distributed's default group, or this one alone where there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def gather(self, tensor: Tensor) -> Tensor:
        """Returns the tensors of all processes, stacked in the order of their ranks."""
        if self.world_size == 1:
            return tensor[None].clone()
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.stack(parts)

    def broadcast(self, tensors: list[Tensor]) -> None:
        """Copies the main process's values into the tensors of all others."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def from_main(self, compute: Callable[[], T]) -> T:
        """Returns to all processes the value that a function returns in the main one.

        Raises:
            UserError: The function raised an exception; the main process raises that one.
        """
        if self.world_size == 1:
            return compute()
        answer: list[tuple[T | None, str | None]] = [(None, None)]
        failure: Exception | None = None
        if self.is_main:
            try:
                answer = [(compute(), None)]
            except Exception as error:  # whatever it is, the others must not wait for an answer
                failure, answer = error, [(None, str(error))]
        dist.broadcast_object_list(answer, 0)
        if failure is not None:
            raise failure
        value, message = answer[0]
        if message is not None:
            raise UserError(message)
        return value  # type: ignore[return-value] # T may itself allow None


@contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Joins the processes that torchrun started; without torchrun there is one, and nothing to join.

    Args:
        device: Where this process trains: GPUs talk through NCCL, processors through Gloo.

    Raises:
        UserError: The environment announces several processes, and lacks the variables that torchrun sets.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)  # or events, and NCCL's messages, would go to the first GPU
    if (os.environ.get("WORLD_SIZE") or "1") == "1" or dist.is_initialized():
        yield Processes.current()
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except ValueError as error:
        raise UserError(
            f"WORLD_SIZE is set, but the processes cannot be joined ({error}); start them with torchrun"
        ) from None
    try:
        yield Processes.current()
    finally:
        dist.destroy_process_group()


@contextmanager
def synchronised_batch_norm(module: nn.Module, enabled: bool) -> Iterator[None]:
    """Exchanges a module's BatchNorms for SyncBatchNorms that share their tensors, for a while."""
    if not enabled:
        yield
        return
    replaced = []
    by_child: dict[nn.Module, nn.Module] = {}  # one may be known by several names
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                if child not in by_child:
                    by_child[child] = nn.SyncBatchNorm.convert_sync_batchnorm(child)  # type: ignore[no-untyped-call]
                setattr(parent, name, by_child[child])
                replaced.append((parent, name, child, by_child[child]))
    try:
        yield
    finally:
        for parent, name, child, synchronised in replaced:
            for key, value in synchronised.named_buffers():  # they may have been moved to another device
                setattr(child, key, value)
            child.train(synchronised.training)
            setattr(parent, name, child)
