"""Accuracy on the test images."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rbnn_deploy.pytorch.training.data.batches import Batch
from rbnn_deploy.pytorch.training.data.feeds import Data, open_feed
from rbnn_deploy.pytorch.training.options import TrainingOptions
from rbnn_deploy.pytorch.training.parallel import Processes
from rbnn_deploy.pytorch.training.recipe import TrainingRecipe
from rbnn_deploy.pytorch.training.step.cudnn import cudnn_setting

TOP = 5


@torch.no_grad()
@cudnn_setting("allow_tf32", False)
def count_right(module: nn.Module, batches: Iterable[Batch], device: torch.device) -> Tensor:
    """Counts the images that a network classifies rightly; leaves it in evaluation mode.

    Always in float32, as deployed models compute, and not in cuDNN's default, TensorFloat-32.

    Args:
        module: The network.
        batches: Inputs and labels, on its device.
        device: That device.

    Returns:
        int64 [4]: images whose class is the likeliest, is among the `TOP` likeliest, all images, and the
        number of classes.
    """
    module.eval()
    counts = torch.zeros(4, dtype=torch.int64, device=device)
    for x, labels in batches:
        logits = module(x)
        ranked = logits.topk(min(TOP, logits.shape[1])).indices == labels[:, None]
        counts[0] += (logits.argmax(1) == labels).sum()
        counts[1] += ranked.sum()
        counts[2] += len(labels)
        counts[3] = logits.shape[1]
    return counts


def evaluate(module: nn.Module, data: Data) -> float:
    """Returns the share of test images that a network classifies rightly; leaves it in evaluation mode.

    Args:
        module: The network; where its parameters are, the images are brought.
        data: See `rbnn_deploy.pytorch.training.train`.
    """
    device = next(module.parameters()).device
    # The batch size of a training has no effect on the test images, and must not be too large for them.
    source = open_feed(data, TrainingRecipe(batch_size=2), TrainingOptions(), Processes(), device)
    right, _, count, _ = count_right(module, source.test(), device).tolist()
    return float(right / count)
