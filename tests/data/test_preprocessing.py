import numpy as np
import pytest
from PIL import Image
from support.paths import REFERENCE, needs_reference

from rbnn_deploy.data import normalise, preprocess
from rbnn_deploy.data.preprocessing import fit
from rbnn_deploy.errors import UserError

EXPECTED = REFERENCE / "expected.npz"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@needs_reference
def test_the_references_inputs_exactly():
    with np.load(EXPECTED) as expected:
        images, x = expected["images"], expected["x"]
    assert np.array_equal(normalise(images, MEAN, STD), x)
    assert np.array_equal(np.stack([preprocess(image, (3, 32, 32), MEAN, STD) for image in images]), x)


def test_normalisation_of_one_pixel():
    x = preprocess(np.full((1, 1, 3), 51, np.uint8), (3, 1, 1), (0.1, 0.2, 0.3), (1.0, 2.0, 0.5))
    assert x.dtype == np.float32
    # Three roundings to float32 of values near 1.
    np.testing.assert_allclose(x.flatten(), [0.1, 0.0, -0.2], rtol=0, atol=3e-7)


def test_without_statistics_pixels_are_scaled_only():
    x = preprocess(np.array([[0, 255]], np.uint8), (1, 1, 2))
    assert x.tolist() == [[[0.0, 1.0]]]


def test_arrays_and_images_give_the_same():
    pixels = noise(40, 30)
    assert np.array_equal(preprocess(pixels, (3, 16, 16)), preprocess(Image.fromarray(pixels), (3, 16, 16)))


def test_an_image_of_the_right_size_keeps_its_pixels():
    pixels = noise(8, 6)
    assert np.array_equal(fit(pixels, (3, 8, 6)), pixels)
    assert np.array_equal(fit(pixels, (3, 6, 6), resize=6), pixels[1:7])


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (257, 256), (31, 500)])
def test_resizing_the_shorter_side_keeps_proportions_and_centre(size):
    height, width = size
    row, column = np.mgrid[0:height, 0:width]
    # Bright on the centre's right and lower side; a distorted or shifted cut would move the edges.
    image = np.where((row >= height / 2) | (column >= width / 2), 255, 0).astype(np.uint8)
    got = fit(image, (1, 224, 224), resize=256)[..., 0]
    assert got.shape == (224, 224)
    edge = 2 + 256 // min(size)  # pixels that interpolation blurs
    assert (got[: 112 - edge, : 112 - edge] == 0).all()
    assert (got[112 + edge :] == 255).all()
    assert (got[:, 112 + edge :] == 255).all()


def test_without_resize_proportions_are_given_up():
    image = np.zeros((10, 40), np.uint8)
    image[:, 20:] = 255
    got = fit(image, (1, 20, 20))[..., 0]
    assert (got[:, :9] == 0).all()
    assert (got[:, 11:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "LA", "PA", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_colour_mode_is_converted_as_pillow_does(mode, channels):
    image = Image.fromarray(noise(9, 9)).convert(mode)
    wanted = np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(9, 9, channels)
    assert np.array_equal(fit(image, (channels, 9, 9)), wanted)


def test_an_image_that_would_be_huge_in_between_is_refused():
    with pytest.raises(UserError, match="an image of 600001 x 1 pixels would be resized to 153600256 x 256"):
        fit(np.zeros((1, 600_001), np.uint8), (1, 224, 224), resize=256)
    with pytest.raises(UserError, match="would be resized to 65536 x 65536"):
        fit(noise(8, 8), (3, 8, 8), resize=65536)


def test_grey_is_the_same_in_all_three_channels():
    x = preprocess(noise(8, 8, 1), (3, 8, 8))
    assert np.array_equal(x[0], x[1])
    assert np.array_equal(x[0], x[2])


def test_other_channel_counts_are_refused():
    with pytest.raises(UserError, match="takes 4; give"):
        preprocess(noise(8, 8), (4, 8, 8))
