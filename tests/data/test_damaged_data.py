"""Damaged images and archives: each is read or refused in one sentence, and nothing else happens."""

import gzip
import io
import random
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cifar import write_archive
from support.damage import damaged

from rbnn_deploy.data import load_image, load_test_images
from rbnn_deploy.data.cifar import VERSIONS
from rbnn_deploy.data.image_file import FORMATS
from rbnn_deploy.data.preprocessing import fit
from rbnn_deploy.errors import UserError

COUNT = 60  # per kind; all take about 10 seconds
HEADER = 600  # bytes


def tried(read: Callable[[], object], messages: list[str]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about EXIF data
        try:
            read()
        except UserError as error:
            messages.append(str(error))
            return "refused"
    return "read"


def check(messages: list[str]) -> None:
    assert not [message for message in messages if "\n" in message or "\x1b" in message]


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_images(kind: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(stream, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}))
    path = tmp_path / "image"
    ends: Counter[str] = Counter()
    messages: list[str] = []
    for seed in range(COUNT):
        path.write_bytes(damaged(stream.getvalue(), random.Random(seed), HEADER))
        ends[tried(lambda: fit(load_image(path), (3, 16, 16), 20), messages)] += 1
    check(messages)
    assert ends["refused"] > COUNT / 20, ends


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.folder)
def test_damaged_archives(version: object, tmp_path: Path) -> None:
    write_archive(version, tmp_path, tmp_path / "whole.tar.gz")
    whole = gzip.decompress((tmp_path / "whole.tar.gz").read_bytes())
    path = tmp_path / "cifar.tar"
    ends: Counter[str] = Counter()
    messages: list[str] = []
    for seed in range(COUNT):
        rng = random.Random(seed)
        content = damaged(whole, rng, HEADER)
        path.write_bytes(gzip.compress(content, 1) if rng.random() < 0.3 else content)
        ends[tried(lambda: load_test_images(path).read(0), messages)] += 1
    check(messages)
    assert min(ends["refused"], ends["read"]) > 0, ends
