"""Batches of inputs, augmented and normalised as whole tensors on the device that holds the images."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def augment(pixels: Tensor, padding: int, flip: bool, generator: Generator) -> Tensor:
    """Cuts every image at its own random place of the padded image, and mirrors half of them.

    Args:
        pixels: uint8 [N, H, W, C].
        padding: Black pixels added on each side before cutting.
        flip: Whether half of the images are mirrored.
        generator: Of the CPU, so that every device draws the same.

    Returns:
        uint8 [N, H, W, C].
    """
    N, H, W, _ = pixels.shape
    top, left = torch.randint(2 * padding + 1, (2, N, 1), generator=generator)
    rows = top + torch.arange(H)
    columns = left + torch.arange(W)
    if flip:
        columns = torch.where(torch.rand(N, 1, generator=generator) < 0.5, columns.flip(1), columns)
    padded = F.pad(pixels, (0, 0, padding, padding, padding, padding))
    rows, columns = rows.to(pixels.device), columns.to(pixels.device)
    samples = torch.arange(N, device=pixels.device)[:, None, None]
    return padded[samples, rows[:, :, None], columns[:, None, :]]


def to_input(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Computes (pixels / 255 - mean) / std, as `rbnn_deploy.data.normalise` does.

    Args:
        pixels: uint8 [N, H, W, C].
        mean: One number a channel.
        std: One number a channel.

    Returns:
        float32 [N, C, H, W].
    """
    x = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 255
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]


def shuffled_batches(count: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Yields the indices of one epoch's batches; the last partial batch is left out.

    Args:
        count: Number of images.
        size: Images a batch; all of them where there are fewer.
        generator: Of the CPU.

    Yields:
        int64 [min(size, count)].
    """
    size = min(size, count)
    order = torch.randperm(count, generator=generator)
    yield from order[: count // size * size].reshape(-1, size)
