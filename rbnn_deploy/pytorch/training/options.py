"""How a training is run: where, how fast, how safely. The recipe says how the network is trained."""

import os
from dataclasses import dataclass

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.fields import explained, make_plain

AMP = ("bf16",)
_WORKERS_AT_MOST = 16  # more do not help one process, which has to collect their images


@dataclass(frozen=True)
class TrainingOptions:
    """How a training is run.

    Every field is also an option of `rbnn-deploy train`, with the field's own explanation.
    """

    device: str = explained("cpu", "cpu, cuda, cuda:1, ...; under torchrun, cuda is each process's own GPU.")
    amp: str | None = explained(
        None, "bf16 computes convolutions and other products in bfloat16; signs and rotations stay float32."
    )
    compile: bool = explained(False, "Compile the training step with torch.compile, which takes a minute.")
    channels_last: bool | None = explained(
        None, "Keep activations channels-last; if absent, on CUDA only, because it slows BatchNorm on CPUs."
    )
    sync_batch_norm: bool = explained(
        False, "Let BatchNorm take its statistics over all processes, on CUDA; otherwise each takes its own."
    )
    workers: int | None = explained(
        None, "Processes that read images which do not fit into memory; one per core if absent."
    )
    checkpoint_every: int | None = explained(
        None, "Also save the state every this many steps within an epoch, not only at its end."
    )
    tensorboard: bool | None = explained(
        None, "Write TensorBoard's files too; if absent, only when TensorBoard is installed."
    )

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UserError: One is outside its domain, or does not go with the device.
        """
        make_plain(self)  # a torch.device becomes its name
        if self.amp is not None and self.amp not in AMP:
            raise UserError(f"amp cannot be {self.amp!r}; choose {', '.join(AMP)}, or leave it out")
        if self.workers is not None and self.workers < 0:
            raise UserError(f"the number of workers must not be negative, and is {self.workers}")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise UserError(f"checkpoint_every must be at least 1 step, not {self.checkpoint_every}")
        if self.sync_batch_norm and not self.device.startswith("cuda"):
            raise UserError(f"sync_batch_norm needs device cuda, not {self.device}; leave it out")

    def worker_count(self) -> int:
        """Returns how many processes read images for this one."""
        if self.workers is not None:
            return self.workers
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return max(min(len(os.sched_getaffinity(0)) // local, _WORKERS_AT_MOST), 1)
