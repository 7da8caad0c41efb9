"""Accuracy on the test images."""

import torch
from torch import nn

from rbnn_deploy.training.batches import to_input
from rbnn_deploy.training.data import TrainingData

_BATCH = 256


@torch.no_grad()
def evaluate(module: nn.Module, data: TrainingData) -> float:
    """Returns the share of test images that a network classifies rightly; leaves it in evaluation mode."""
    module.eval()
    correct = torch.zeros((), dtype=torch.int64, device=data.test_labels.device)
    for start in range(0, len(data.test_labels), _BATCH):
        chosen = slice(start, start + _BATCH)
        logits = module(to_input(data.test_pixels[chosen], data.mean, data.std))
        correct += (logits.argmax(1) == data.test_labels[chosen]).sum()
    return int(correct) / len(data.test_labels)
