"""The one description of what a network takes."""

import numpy as np

from rbnn_deploy.data import preprocess, preprocessing_of
from rbnn_deploy.input_image import InputImage, batch_size
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES


def test_a_model_prepares_images_as_it_says() -> None:
    metadata = ModelMetadata("net", (3, 4, 5), 10, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), resize=8)
    assert metadata.image == InputImage((3, 4, 5), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 8)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    assert np.array_equal(
        preprocessing_of(metadata)(pixels), preprocess(pixels, (3, 4, 5), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 8)
    )


def test_every_family_says_it_of_itself() -> None:
    for architecture in ARCHITECTURES.values():
        family = architecture.family
        assert isinstance(family, InputImage)
        assert family.mean is not None
        assert len(family.mean) == family.input_shape[0]


def test_batches_of_large_inputs_are_small() -> None:
    assert batch_size((3, 32, 32), 50) == 50
    assert batch_size((3, 1024, 1024), 50) == 5
    assert batch_size((3, 4096, 4096), 50) == 1
