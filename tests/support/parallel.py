"""What one process of several computes; torchrun starts it.

usage: torchrun --nproc-per-node 2 support_parallel.py OUT
"""

import copy
import sys
from contextlib import closing
from pathlib import Path

import torch
import torch.nn.functional as F
from support.training import SHORT, digits_network, stripes_data
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import binary_layers, set_training_progress
from rbnn_deploy.pytorch.training import TrainingOptions, TrainingRecipe, train
from rbnn_deploy.pytorch.training.data.feeds import open_feed
from rbnn_deploy.pytorch.training.parallel import Processes, process_group
from rbnn_deploy.pytorch.training.run.loop import Loop
from rbnn_deploy.pytorch.training.step.initialise import initialise
from rbnn_deploy.pytorch.training.step.optimizer import build_optimizer
from rbnn_deploy.pytorch.training.step.step import Step

CPU = torch.device("cpu")


def gradients(processes):
    """Returns the gradients of the second epoch's third step.

    BatchNorm is in evaluation mode: in training mode its statistics are each process's own.
    """
    module = digits_network()
    initialise(module, SHORT)
    set_training_progress(module, 1, 4)
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
    source = open_feed(stripes_data(), SHORT, TrainingOptions(), processes, CPU)
    with closing(Step.of(module, build_optimizer(module, SHORT), TrainingOptions(), processes, CPU)) as step:
        loss, right = step.backward(*next(iter(source.train(1, 2))))
    values = {name: parameter.grad for name, parameter in module.named_parameters()}
    loss = processes.gather(loss).mean()
    return {**values, "loss": loss, "right": processes.gather(right).sum()}


def rotations(processes):
    """Returns the rotations of every process, [processes, ...], before and after they are learned."""
    module = digits_network()
    for _, layer in binary_layers(module):  # as if the processes had computed different bits
        layer.R1[0, 0] += 1e-6 * processes.rank
    step = Step.of(copy.deepcopy(module), None, TrainingOptions(), Processes(), CPU)
    source = open_feed(stripes_data(), SHORT, TrainingOptions(), processes, CPU)

    def all_of_them():
        return {
            f"{name}.{key}": processes.gather(getattr(layer, key))
            for name, layer in binary_layers(module)
            for key in ("R1", "R2")
        }

    before = all_of_them()
    Loop(module, step, source, SHORT, processes)._begin_epoch()
    return before, all_of_them()


def loaders(batches, images):
    """Returns batches of random images."""
    generator = torch.Generator().manual_seed(images)
    return [
        (torch.randn(images, 1, 8, 8, generator=generator), torch.arange(images) % 2) for _ in range(batches)
    ]


def linear(*more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2), *more)


class WithUnused(nn.Module):
    """A network that does not use one of its layers."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = linear(), nn.Linear(3, 2)

    def forward(self, x):
        return self.used(x)


def refusal(module, data, processes):
    """Returns what the processes say when they refuse a training, joined."""
    messages = [None] * processes.world_size
    try:
        train(module, data, SHORT)
        message = "not refused"
    except UserError as error:
        message = str(error)
    torch.distributed.all_gather_object(messages, message)
    return messages


def loss_of_unequal_batches(processes):
    """Returns the logged loss of 8 images a step in one process and 2 in the other, and the true one."""
    module = linear()
    parts = [loaders(4, images) for images in (8, 2)]
    recipe = TrainingRecipe(epochs=1, warmup_epochs=0, learning_rate=1e-30)
    (result,) = train(module, (parts[processes.rank], parts[0]), recipe)
    batches = [batch for part in parts for batch in part]
    x, labels = (torch.cat(values) for values in zip(*batches, strict=True))
    return result.loss, float(F.cross_entropy(module(x), labels).detach())


def threads_of_gloo():
    """Returns how many of Gloo's threads live in this process; None where the system does not say."""
    names = list(Path("/proc/self/task").glob("*/comm"))
    return sum("gloo" in name.read_text() for name in names) if names else None


def main():
    torch.set_num_threads(1)
    with process_group(CPU) as processes:
        content = {
            "world_size": processes.world_size,
            "shared": gradients(processes),
            "rotations": rotations(processes),
            "losses": loss_of_unequal_batches(processes),
            "unequal": refusal(linear(), (loaders(4 + processes.rank, 8), loaders(2, 8)), processes),
            "unused": refusal(WithUnused(), (loaders(4, 8), loaders(2, 8)), processes),
        }
        content["threads"] = [threads_of_gloo()]
    content["threads"].append(threads_of_gloo())
    if processes.is_main:
        torch.save({**content, "alone": gradients(Processes())}, sys.argv[1])


if __name__ == "__main__":
    main()
