import numpy as np
import pytest
import torch

from rbnn_deploy.data import normalise
from rbnn_deploy.training.batches import augment, shuffled_batches, to_input


def images(count=40, height=6, width=5, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, height, width, channels), dtype=torch.uint8, generator=generator)


def test_every_augmented_image_is_a_cut_of_its_own_padded_image():
    pixels, padding = images(), 2
    got = augment(pixels, padding, True, torch.Generator().manual_seed(1))
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
    assert torch.equal(augment(pixels, 0, False, torch.Generator()), pixels)


def test_the_seed_decides():
    first, again, other = (augment(images(), 4, True, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_input_is_what_a_deployed_model_gets():
    pixels = images()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert np.array_equal(to_input(pixels, mean, std).numpy(), normalise(pixels.numpy(), mean, std))


@pytest.mark.parametrize(("count", "size", "lengths"), [(10, 3, [3, 3, 3]), (4, 4, [4]), (3, 8, [3])])
def test_batches_hold_an_image_at_most_once(count, size, lengths):
    batches = list(shuffled_batches(count, size, torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == lengths
    indices = torch.cat(batches).tolist()
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(count))
