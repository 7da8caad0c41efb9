"""A data set that a few steps are enough to learn, and a training of it in a process that may be killed.

usage: python support_training.py OUT [--kill-at STEP] [--kill-in-write N] [--resume] [--loaders]
"""

import argparse
import os
import signal
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.networks import build_network
from rbnn_deploy.pytorch.training import TrainingData, TrainingOptions, TrainingRecipe, train
from rbnn_deploy.pytorch.training.step.step import Step

DIGITS = "digits/resnet8_1w1a"
SHORT = TrainingRecipe(
    epochs=4, batch_size=32, warmup_epochs=1, initial_angle=0.4, crop_padding=1, flip=False
)
CHECKPOINT_EVERY = 3
RESUMED = replace(SHORT, epochs=3)


def stripes(count):
    """Images whose class is the direction of their stripes."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 2
    line = torch.tensor([0, 255] * 4, dtype=torch.uint8)
    across, along = line[:, None].expand(8, 8), line[None].expand(8, 8)
    pixels = torch.where(labels[:, None, None] == 0, across, along)
    noise = torch.randint(0, 40, pixels.shape, dtype=torch.uint8, generator=generator)
    return (pixels // 2 + noise)[..., None], labels


def stripes_data():
    return TrainingData(*stripes(330), *stripes(64), ("across", "along"), (0.4,), (0.3,))


def stripes_loaders(generator=None):
    """The same through PyTorch's loaders, which shuffle with the global random numbers, or with their own."""
    sets = [
        TensorDataset(pixels.permute(0, 3, 1, 2) / 255, labels) for pixels, labels in map(stripes, (330, 64))
    ]
    train_loader = DataLoader(sets[0], 32, shuffle=True, drop_last=True, generator=generator)
    return train_loader, DataLoader(sets[1], 32)


def digits_network():
    torch.manual_seed(0)
    return build_network(DIGITS, 2)


def own_network():
    """A network of one's own that draws random numbers in every step."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        RotatedBinaryConv2d(1, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.Dropout(0.25),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 36, 2),
    )


def kill_at(step):
    """Lets this process die, as by kill -9, before its n-th step."""
    steps, original = 0, Step.__call__

    def counted(self, x, labels):
        nonlocal steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, x, labels)

    Step.__call__ = counted


def kill_in_write(count):
    """Lets this process die when it has written the first half of its n-th file."""
    writes, original = 0, Path.write_bytes

    def counted(path, content):
        nonlocal writes
        writes += 1
        if writes == count:
            original(path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return original(path, content)

    Path.write_bytes = counted


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--kill-in-write", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--loaders", choices=["global", "own"], help="whose random numbers shuffle them")
    arguments = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if arguments.kill_at:
        kill_at(arguments.kill_at)
    if arguments.kill_in_write:
        kill_in_write(arguments.kill_in_write)
    module, data, name = digits_network(), stripes_data(), DIGITS
    if arguments.loaders:
        generator = torch.Generator().manual_seed(3) if arguments.loaders == "own" else None
        module, data, name = own_network(), stripes_loaders(generator), None
    options = TrainingOptions(checkpoint_every=CHECKPOINT_EVERY, tensorboard=False)
    train(module, data, RESUMED, arguments.out, architecture=name, options=options, resume=arguments.resume)


if __name__ == "__main__":
    main()
