import numpy as np
import pytest
import torch

from rbnn_deploy.data import normalise
from rbnn_deploy.errors import UserError
from rbnn_deploy.pytorch.training.data.batches import BatchSizes, EpochDraws, augment, to_input


def images(count=40, height=6, width=5, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, height, width, channels), dtype=torch.uint8, generator=generator)


def test_every_augmented_image_is_a_cut_of_its_own_padded_image():
    pixels, padding = images(), 2
    got = augment(pixels, padding, EpochDraws.of(40, 1, 0, padding, True))
    assert got.dtype == torch.uint8
    found = []
    for image, cut in zip(pixels.numpy(), got.numpy(), strict=True):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
        places = [
            (top, left, mirrored)
            for top in range(5)
            for left in range(5)
            for mirrored in (False, True)
            if np.array_equal(padded[top : top + 6, left : left + 5][:, :: -1 if mirrored else 1], cut)
        ]
        assert len(places) == 1
        found += places
    # With 40 images all of the five offsets and both directions turn up.
    assert [len({place[i] for place in found}) for i in range(3)] == [5, 5, 2]


def test_nothing_to_augment():
    pixels = images()
    assert torch.equal(augment(pixels, 0, EpochDraws.of(40, 0, 0, 0, False)), pixels)


def test_seed_and_epoch_decide():
    def drawn(seed, epoch):
        draws = EpochDraws.of(100, seed, epoch, 4, True)
        assert sorted(draws.order.tolist()) == list(range(100))
        return (*draws.order.tolist(), *draws.top.tolist(), *draws.left.tolist(), *draws.mirrored.tolist())

    assert drawn(1, 2) == drawn(1, 2)
    assert len({drawn(seed, epoch) for seed in (0, 1, 2, 2**32) for epoch in (0, 1)}) == 8


def test_the_input_is_what_a_deployed_model_gets():
    pixels = images()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = normalise(pixels.numpy(), mean, std)
    tensors = [torch.tensor(values)[:, None, None] for values in (mean, std)]
    for layout in (torch.contiguous_format, torch.channels_last):
        x = to_input(pixels, *tensors, layout)
        assert x.is_contiguous(memory_format=layout)
        assert np.array_equal(x.numpy(), expected)


@pytest.mark.parametrize(
    ("count", "size", "processes", "steps", "own"),
    [(10, 3, 1, 3, 3), (4, 4, 1, 1, 4), (3, 8, 1, 1, 3), (50, 12, 3, 4, 4), (9, 16, 2, 1, 4)],
)
def test_the_processes_share_every_batch(count, size, processes, steps, own):
    sizes = BatchSizes.of(count, size, processes)
    assert (sizes.steps, sizes.own, sizes.whole) == (steps, own, own * processes)
    order = list(range(count))
    taken = [order[sizes.share(step, rank)] for step in range(steps) for rank in range(processes)]
    assert [len(part) for part in taken] == [own] * (steps * processes)
    assert [position for part in taken for position in part] == order[: steps * own * processes]


def test_unequal_shares_and_tiny_ones_are_refused():
    with pytest.raises(UserError, match="multiple of 3"):
        BatchSizes.of(100, 10, 3)
    with pytest.raises(UserError, match="fewer than 2 training images"):
        BatchSizes.of(5, 8, 4)
