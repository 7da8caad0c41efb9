"""Image files of every kind: right as Pillow's users expect, or refused in one sentence."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from rbnn_deploy.data import load_image
from rbnn_deploy.errors import UserError

ORIENTATION = 0x0112


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP"])
def test_formats_that_are_read(tmp_path, kind):
    image = Image.fromarray(np.full((4, 5, 3), 200, np.uint8))
    image.save(tmp_path / "image", kind)
    assert load_image(tmp_path / "image").size == (5, 4)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICNS"])
def test_formats_that_are_not(tmp_path, kind):
    Image.fromarray(np.full((16, 16, 3), 200, np.uint8)).save(tmp_path / "image.png", kind)
    with pytest.raises(UserError, match=r"it is no whole PNG, JPEG, BMP, GIF, PPM, TIFF or WEBP that Pillow"):
        load_image(tmp_path / "image.png")


def test_a_photo_with_a_preview_is_a_jpeg(tmp_path):
    # Cameras put several pictures into a JPEG file, which Pillow calls MPO.
    first, second = (Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (200, 10))
    first.save(tmp_path / "image.jpg", "MPO", save_all=True, append_images=[second])
    assert np.asarray(load_image(tmp_path / "image.jpg")).mean() > 190


def test_load_image_names_what_is_wrong(tmp_path):
    path = tmp_path / "image.png"
    with pytest.raises(UserError, match=r"image\.png does not exist"):
        load_image(path)
    path.write_text("no image")
    with pytest.raises(UserError, match=r"cannot read image .*image\.png"):
        load_image(path)
    Image.fromarray(noise(50, 50)).save(path)
    assert np.array_equal(np.asarray(load_image(path)), noise(50, 50))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cannot read image .*image\.png"):
        load_image(path)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    with pytest.raises(UserError, match="more than 8 bits"):
        load_image(path)
    with pytest.raises(UserError, match="cannot read image"):
        load_image(tmp_path)


# How each orientation of EXIF lays out an upright picture's rows and columns in the file.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: np.rot90,
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = noise(5, 7)
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    stored.save(tmp_path / "image", kind, exif=exif, lossless=True)
    assert np.array_equal(np.asarray(load_image(tmp_path / "image")), upright)


def test_a_photo_taken_upright_is_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    sky = np.zeros((16, 24, 3), np.uint8)
    sky[:, :12] = 255  # the left of the sensor is the top of the picture
    Image.fromarray(sky).save(tmp_path / "image.jpg", exif=exif)
    pixels = np.asarray(load_image(tmp_path / "image.jpg"))
    assert pixels.shape == (24, 16, 3)
    assert pixels[:8].min() > 200
    assert pixels[16:].max() < 50


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_data_do_not_matter(tmp_path):
    Image.fromarray(noise(5, 7)).save(tmp_path / "image.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(np.asarray(load_image(tmp_path / "image.png")), noise(5, 7))


def test_colours_of_cmyk_come_back(tmp_path):
    Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK").save(tmp_path / "image.jpg", quality=95)
    pixels = np.asarray(load_image(tmp_path / "image.jpg").convert("RGB")).reshape(-1, 3)
    assert abs(pixels.mean(0) - (200, 40, 90)).max() < 4  # of 255, by the rounding of JPEG


def test_sixteen_bits_per_colour_are_read_as_eight(tmp_path):
    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    pixels = noise(3, 4)
    wide = (pixels.astype(np.uint16) * 256 + 77).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    assert np.array_equal(np.asarray(load_image(tmp_path / "image.png")), pixels)


def test_colours_that_pillow_does_not_convert_are_named(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "image.tiff")
    with pytest.raises(UserError, match=r"image\.tiff has colours of the kind LAB; save it as RGB"):
        load_image(tmp_path / "image.tiff")


def test_too_many_pixels_are_called_so(tmp_path, monkeypatch):
    Image.fromarray(noise(20, 30)).save(tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 290)
    with pytest.raises(UserError, match=r"image\.png has more than 580 pixels; make the image smaller"):
        load_image(tmp_path / "image.png")


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "image.png")
    for path in (tmp_path / "image.png", "/dev/zero"):
        with pytest.raises(UserError, match="is a pipe or a device"):
            load_image(path)
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(2 << 30)
    with pytest.raises(UserError, match=r"huge\.png has more than 1,073,741,824 bytes"):
        load_image(tmp_path / "huge.png")


def test_a_name_cannot_steer_the_terminal(tmp_path):
    with pytest.raises(UserError) as caught:
        load_image(tmp_path / "\x1b[2J.png")
    assert "\x1b" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        load_image("a\0b.png")


def test_a_damaged_tiff_is_one_sentence_and_no_log(tmp_path):
    path = tmp_path / "image.tiff"
    Image.fromarray(noise(5, 6)).save(path)
    content = path.read_bytes()
    samples = struct.pack("<HHII", 277, 3, 1, 3)  # the tag SamplesPerPixel
    assert content.count(samples) == 1
    path.write_bytes(content.replace(samples, struct.pack("<HHII", 277, 3, 1, 255)))
    program = (
        "import sys\nfrom rbnn_deploy.data import load_image\nfrom rbnn_deploy.errors import UserError\n"
        "try:\n    load_image(sys.argv[1])\nexcept UserError as error:\n    print(error)"
    )
    # In a process of its own, as pytest has a handler for every log.
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert "it is no whole PNG, JPEG" in done.stdout
    assert done.stderr == ""


def test_a_stream_is_read_like_a_file():
    stream = io.BytesIO()
    Image.fromarray(noise(5, 6)).save(stream, "PNG")
    assert np.array_equal(np.asarray(load_image(stream, name="standard input")), noise(5, 6))
