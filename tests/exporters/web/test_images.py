"""The page's resizing in Node.js: byte for byte what `fit` does with Pillow."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT
from support.web import run_node

from rbnn_deploy.data.preprocessing import fit
from rbnn_deploy.exporters.web.check_image import draw_check_image

FIT = """
const { fit } = await import(given.images);
result = given.cases.map(({ rgba, width, height, model, resize }) =>
  Array.from(fit(Uint8Array.from(rgba), width, height, model, resize)));
"""
IMAGES = str(ROOT / "exporters" / "web" / "page" / "images.mjs")


@pytest.mark.parametrize("cut", [False, True], ids=["stretched", "cut out"])
def test_random_sizes(cut: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(7 + cut)
    cases, expected = [], []
    for number in range(150):
        width, height = (int(size) for size in rng.integers(1, 90, 2))
        channels, (H, W) = int(rng.choice([1, 3])), (int(size) for size in rng.integers(1, 40, 2))
        if number < 30:  # as most networks
            H = W = 32
        if number == 0:
            width = height = 32
        resize = int(rng.integers(1, 50)) if cut else None
        rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
        model = {"channels": channels, "height": H, "width": W}
        cases.append(
            {
                "rgba": rgba.ravel().tolist(),
                "width": width,
                "height": height,
                "model": model,
                "resize": resize,
            }
        )
        image = Image.fromarray(np.ascontiguousarray(rgba[..., :3]))
        expected.append(fit(image, (channels, H, W), resize).ravel().tolist())
    found = run_node(FIT, {"images": IMAGES, "cases": cases}, tmp_path)
    assert [
        number for number, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]
    ] == []


def test_the_check_image_is_noise() -> None:
    """Its generator's lower bytes would repeat soon; these do not favour any value."""
    image = draw_check_image((3, 64, 64))
    assert image.shape == (64, 64, 3)
    assert np.bincount(image.ravel(), minlength=256).min() > 20
