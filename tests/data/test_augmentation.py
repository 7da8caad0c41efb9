import numpy as np
import pytest
from PIL import Image

from rbnn_deploy.data.augmentation import AREA, RATIO, random_box, random_resized_crop


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 500), (64, 64)])
def test_boxes_have_the_area_and_shape_that_they_should(width, height):
    draws = rng()
    boxes = np.array([random_box(width, height, draws) for _ in range(500)])
    left, top, right, bottom = boxes.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= width).all()
    assert (bottom <= height).all()
    w, h = right - left, bottom - top
    # Sides are rounded to whole pixels.
    assert ((w + 1) * (h + 1) >= AREA[0] * width * height).all()
    assert ((w + 0.5) / (h - 0.5) >= RATIO[0]).all()
    assert ((w - 0.5) / (h + 0.5) <= RATIO[1]).all()
    share = w * h / (width * height)
    assert share.min() < 0.15
    assert share.max() > 0.8
    assert len(set(left)) > 20
    assert len(set(top)) > 20


@pytest.mark.parametrize(
    ("width", "height", "box"), [(1000, 9, (494, 0, 506, 9)), (9, 1000, (0, 494, 9, 506))]
)
def test_an_image_that_holds_no_such_box_is_cut_at_its_centre(width, height, box):
    assert {random_box(width, height, rng(seed)) for seed in range(20)} == {box}


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 7)])
def test_the_smallest_images(size):
    for seed in range(10):
        left, top, right, bottom = random_box(*size, rng(seed))
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


@pytest.mark.parametrize("kind", ["image", "array", "grey"])
def test_the_result_has_the_networks_size(kind):
    pixels = rng().integers(0, 256, (40, 60, 3), dtype=np.uint8)
    image = {"image": Image.fromarray(pixels), "array": pixels, "grey": pixels[..., 0]}[kind]
    got = [random_resized_crop(image, (3, 24, 20), True, rng(seed)) for seed in (1, 1, 2)]
    assert all(result.shape == (24, 20, 3) and result.dtype == np.uint8 for result in got)
    assert np.array_equal(got[0], got[1])
    assert not np.array_equal(got[0], got[2])


def test_half_of_the_images_are_mirrored():
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None] * 4, 64, 0)
    slopes = []
    for flip in (False, True):
        cuts = [random_resized_crop(ramp, (1, 8, 8), flip, rng(seed))[..., 0] for seed in range(100)]
        slopes.append(sum(int(cut[0, -1]) < int(cut[0, 0]) for cut in cuts))
    assert slopes[0] == 0
    assert 30 < slopes[1] < 70
