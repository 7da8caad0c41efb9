"""Batches of inputs: the random numbers of an epoch, and whole tensors of images augmented and normalised.

All that is random is drawn anew for every epoch from the recipe's seed and the epoch's number, for the images
of all processes: any step of any epoch can be repeated by itself, whatever the number of processes.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rbnn_deploy.errors import UserError

Batch = tuple[Tensor, Tensor]  # inputs and labels


@dataclass(frozen=True)
class BatchSizes:
    """How an epoch's images are split into steps, and a step's over the processes.

    Attributes:
        steps: Steps of an epoch.
        own: Images of a step that one process takes.
        whole: Images of a step, over all processes.
    """

    steps: int
    own: int
    whole: int

    @classmethod
    def of(cls, count: int, batch_size: int, world_size: int) -> "BatchSizes":
        """Splits `count` images; the last partial batch is left out.

        Args:
            count: Images of the data set.
            batch_size: Images of a step, over all processes; all images where there are fewer.
            world_size: Number of processes.

        Raises:
            UserError: The processes cannot have equal shares of at least 2 images.
        """
        if batch_size % world_size:
            raise UserError(
                f"a batch of {batch_size} images cannot be split evenly over {world_size} processes; "
                f"use a multiple of {world_size}"
            )
        own = min(batch_size, count) // world_size
        if own < 2:
            raise UserError(
                f"there are fewer than 2 training images per process ({count} images, batches of "
                f"{batch_size}, {world_size} processes), too few for BatchNorm; add some"
            )
        return cls(count // (own * world_size), own, own * world_size)

    def share(self, step: int, rank: int) -> slice:
        """Returns the positions, in the epoch's order, of the images that a process takes in a step."""
        start = step * self.whole + rank * self.own
        return slice(start, start + self.own)


@dataclass(frozen=True)
class EpochDraws:
    """The random numbers of one epoch; element i belongs to the image that comes i-th.

    Attributes:
        order: int64 [n], a permutation of the images.
        top: int64 [n], the first row of the padded image that is kept.
        left: int64 [n], the first column.
        mirrored: bool [n].
    """

    order: Tensor
    top: Tensor
    left: Tensor
    mirrored: Tensor

    @classmethod
    def of(cls, count: int, seed: int, epoch: int, padding: int, flip: bool) -> "EpochDraws":
        """Draws an epoch.

        Args:
            count: Number of images.
            seed: The recipe's.
            epoch: From 0.
            padding: See `augment`.
            flip: Whether half of the images are mirrored.
        """
        # Not torch's generator: on a CPU it takes the lower 32 bits of one number as its seed.
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,)))
        order = torch.from_numpy(rng.permutation(count))
        top, left = torch.from_numpy(rng.integers(2 * padding + 1, size=(2, count)))
        mirrored = torch.from_numpy(rng.random(count) < 0.5) if flip else torch.zeros(count, dtype=torch.bool)
        return cls(order, top, left, mirrored)

    def to(self, device: torch.device) -> "EpochDraws":
        """Returns the draws on a device: one copy an epoch, and none in a step."""
        return EpochDraws(
            self.order.to(device), self.top.to(device), self.left.to(device), self.mirrored.to(device)
        )

    def __getitem__(self, positions: slice) -> "EpochDraws":
        return EpochDraws(
            self.order[positions], self.top[positions], self.left[positions], self.mirrored[positions]
        )


def augment(pixels: Tensor, padding: int, draws: EpochDraws) -> Tensor:
    """Cuts every image at its own place of the padded image, and mirrors those that are to be.

    Args:
        pixels: uint8 [N, H, W, C].
        padding: Black pixels added on each side before cutting.
        draws: Of these N images, on the same device.

    Returns:
        uint8 [N, H, W, C].
    """
    N, H, W, _ = pixels.shape
    rows = draws.top[:, None] + torch.arange(H, device=pixels.device)
    columns = draws.left[:, None] + torch.arange(W, device=pixels.device)
    columns = torch.where(draws.mirrored[:, None], columns.flip(1), columns)
    padded = F.pad(pixels, (0, 0, padding, padding, padding, padding))
    samples = torch.arange(N, device=pixels.device)[:, None, None]
    return padded[samples, rows[:, :, None], columns[:, None, :]]


def to_input(
    pixels: Tensor, mean: Tensor, std: Tensor, memory_format: torch.memory_format = torch.contiguous_format
) -> Tensor:
    """Computes (pixels / 255 - mean) / std, as `rbnn_deploy.data.normalise` does.

    Args:
        pixels: uint8 [N, H, W, C].
        mean: float32 [C, 1, 1], on the same device.
        std: Likewise.
        memory_format: Layout of the result.

    Returns:
        float32 [N, C, H, W].
    """
    x = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=memory_format) / 255
    return (x - mean) / std
