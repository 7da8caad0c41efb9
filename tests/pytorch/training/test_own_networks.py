"""Networks and loaders of a user's own that do not fit each other are refused in one sentence."""

import pytest
import torch
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.training import TrainingRecipe, train

RECIPE = TrainingRecipe(epochs=1, warmup_epochs=0, initial_angle=0.4)


def network(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        RotatedBinaryConv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), *more
    )


def batches(labels: torch.Tensor, dtype: torch.dtype = torch.float32) -> list:
    x = torch.rand(len(labels), 2, 6, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    return [(x, labels)]


LABELS = torch.tensor([0, 1, 2, 1])


def test_inputs_of_other_floating_types_train_as_float32() -> None:
    losses = []
    for dtype in (torch.float32, torch.float64):
        loader = batches(LABELS, dtype)
        losses.append(train(network(), (loader, loader), RECIPE)[0].loss)
    assert losses[0] == losses[1]  # the same float32 values, widened and narrowed again


def test_a_label_that_cross_entropy_ignores_is_taken() -> None:
    loader = batches(torch.tensor([0, -100, 2, 1]))
    assert len(train(network(), (loader, loader), RECIPE)) == 1


@pytest.mark.parametrize(
    ("module", "labels", "said"),
    [
        (network, [0, 1, 3, 1], "a label is 3, but the network has 3 logits, for classes 0 to 2"),
        (network, [0, 1, -1, 1], "a label is -1, but the network has 3 logits"),
        (
            lambda: network(nn.Unflatten(1, (3, 1))),
            LABELS,
            r"returns \[4, 3, 1\] for 4 inputs; return one row",
        ),
        (lambda: nn.Sequential(network(), nn.LSTM(3, 3)), LABELS, "returns tuple for 4 inputs"),
        (lambda: network().double(), LABELS, r"parameter 0.weight is float64.*\.float\(\) first"),
        (lambda: network(nn.LazyLinear(3)), LABELS, r"4 \(LazyLinear\) has no weights yet"),
    ],
)
def test_what_does_not_fit_is_refused(module, labels, said: str) -> None:
    loader = batches(torch.as_tensor(labels))
    with pytest.raises(UserError, match=said) as caught:
        train(module(), (loader, loader), RECIPE)
    assert "\n" not in str(caught.value)
