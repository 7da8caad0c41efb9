"""The page in a browser: an image in, NumPy's logits out, with and without a server."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from PIL import Image
from support.small_models import small_model
from support.web import browser, find_onnxruntime_web, needs_zig, served, write_site

from rbnn_deploy.data.preprocessing import preprocessing_of
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.models import EMBEDDED_MODEL
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime

pytestmark = needs_zig
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(EMBEDDED_MODEL, tmp_path_factory.mktemp("embedded")).folder


@pytest.fixture(scope="module")
def phone() -> Iterator[Any]:
    with browser(viewport=PHONE, has_touch=True) as context:
        yield context


@contextmanager
def opened(context: Any, address: str) -> Iterator[Any]:
    """Opens a page once it is ready; checks at the end that nothing went wrong in it."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("#facts dd")
    yield page
    assert faults == []
    page.close()


def draw_photo(seed: int, mode: str = "RGB", size: tuple[int, int] = (53, 40)) -> Image.Image:
    """Draws smooth noise."""
    channels = len(mode)
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), np.uint8)
    image = Image.fromarray(noise[..., 0] if channels == 1 else noise, mode)
    return image.resize(size, Image.Resampling.BICUBIC)


def on_disk(site: Path) -> str:
    """Returns the address of a page that no server gives."""
    return (site / "index.html").as_uri()


def drop(page: Any, file: Path, kind: str = "image/png") -> None:
    """Drops a file onto the page, as a mouse would, and waits for what the page says."""
    transfer = page.evaluate_handle(
        """([text, name, type]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type }));
            return transfer;
        }""",
        [base64.b64encode(file.read_bytes()).decode(), file.name, kind],
    )
    for event in ("dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def shown_logits(page: Any) -> np.ndarray:
    """Returns the logits of the table, which has them in digits that name one float32."""
    page.wait_for_selector("#logits tbody tr", state="attached")
    return np.array(page.locator("#logits tbody td:last-child").all_text_contents(), np.float32)


def numpy_logits(model: Path, image: Image.Image) -> np.ndarray:
    judge = NumpyRuntime(model, in_order=True)
    return judge.run(preprocessing_of(judge.metadata)(image)[None])[0]


@pytest.mark.parametrize("way", ["dropped", "chosen"])
@pytest.mark.parametrize("place", ["served", "from the disk"])
def test_an_image_gives_numpys_logits(place: str, way: str, site: Path, phone: Any, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    draw_photo(1).save(file)
    expected = numpy_logits(EMBEDDED_MODEL, Image.open(file))
    names = NumpyRuntime(EMBEDDED_MODEL).metadata.class_names
    with served(site) as server, opened(phone, server if place == "served" else on_disk(site)) as page:
        if way == "dropped":
            drop(page, file)
        else:
            page.set_input_files("#file", file)
        assert np.array_equal(shown_logits(page), expected)
        assert page.inner_text("#answer") == names[int(expected.argmax())]
        order = [names[index] for index in np.argsort(-expected)[:5]]
        assert page.locator("#classes li span:first-child").all_text_contents() == order
        assert page.inner_text("#time").endswith(" ms per image, one thread.")


def test_the_check_image_has_all_bits(site: Path, phone: Any) -> None:
    with opened(phone, on_disk(site)) as page:
        assert "10 of 10 logits of a test image have the bits of the NumPy reference" in page.inner_text(
            "#facts"
        )


@pytest.mark.parametrize("mode", ["RGBA", "L", "rotated"])
def test_images_of_other_kinds(mode: str, site: Path, phone: Any, tmp_path: Path) -> None:
    """Transparency is left out without loss of colours, grey becomes RGB, and EXIF turns an image upright."""
    file = tmp_path / "photo.png"
    image = draw_photo(2, "RGB" if mode == "rotated" else mode)
    if mode == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        image.save(file, exif=exif)
        image = image.transpose(Image.Transpose.ROTATE_270)
    else:
        image.save(file)
    with opened(phone, on_disk(site)) as page:
        drop(page, file)
        assert np.array_equal(shown_logits(page), numpy_logits(EMBEDDED_MODEL, image))
        assert ("transparency" in page.inner_text("#note")) == (mode == "RGBA")


def test_a_network_for_grey_images_with_a_cut(phone: Any, tmp_path: Path) -> None:
    model = small_model(metadata=False)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    stem = next(tensor for tensor in model.graph.initializer if tensor.name == "stem.weight")
    stem.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stem)[:, :1].copy(), stem.name))
    described = ModelMetadata("<b>grey & small</b>", (1, 8, 8), 10, (0.3,), (0.2,), resize=11)
    helper.set_model_props(model, described.to_properties())
    result = write_site(model, tmp_path)
    file = tmp_path / "photo.png"
    draw_photo(3).save(file)
    with opened(phone, on_disk(result.folder)) as page:
        assert page.title() == "<b>grey & small</b>"
        drop(page, file)
        assert np.array_equal(shown_logits(page), numpy_logits(tmp_path / "model.onnx", Image.open(file)))
        assert page.inner_text("#answer").startswith("class ")


def test_a_file_that_is_no_image(site: Path, phone: Any, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("no image")
    with opened(phone, on_disk(site)) as page:
        drop(page, file, "text/plain")
        page.wait_for_selector("#problem:not([hidden])")
        assert page.inner_text("#problem").startswith("letter.txt is no image")
        assert page.locator("#result").is_hidden()


def test_the_camera(site: Path, phone: Any) -> None:
    with served(site) as address, opened(phone, address) as page:
        page.click("#camera")
        assert shown_logits(page).size == 10
        assert page.locator("#camera").get_attribute("aria-pressed") == "true"
        assert page.locator("#video").is_visible()
        page.click("#camera")
        assert page.inner_text("#camera") == "Use the camera"
        assert page.locator("#video").is_hidden()


def test_the_page_works_without_its_server_after_one_visit(site: Path, phone: Any, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    draw_photo(4).save(file)
    with served(site) as address, opened(phone, address) as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    with opened(phone, address) as page:
        drop(page, file)
        assert np.array_equal(shown_logits(page), numpy_logits(EMBEDDED_MODEL, Image.open(file)))


def test_a_narrow_screen_scrolls_in_one_direction_only(site: Path, phone: Any, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    draw_photo(5).save(file)
    with opened(phone, on_disk(site)) as page:
        drop(page, file)
        page.wait_for_selector("#classes li")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for name in ("label[for=file]", "#camera", "summary"):
            box = page.locator(name).bounding_box()
            assert box is None or box["height"] >= 44, name  # a thumb's size, WCAG 2.5.5


def test_everything_is_reached_by_keyboard_and_has_a_name(site: Path, phone: Any) -> None:
    with served(site) as address, opened(phone, address) as page:
        reached = []
        for _ in range(2):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
        assert reached == ["file", "camera"]
        assert page.get_by_label("Choose an image").count() == 1
        assert page.get_by_role("button", name="Use the camera").count() == 1
        assert page.evaluate("document.documentElement.lang") == "en"


def test_the_page_can_send_nothing(site: Path, phone: Any) -> None:
    """Its policy refuses connections, even to its own server."""
    with served(site) as address:
        page = phone.new_page()
        page.goto(address)
        page.wait_for_selector("#facts dd")
        fetched = "fetch('model.wasm').then(() => 'sent', (error) => error.name)"
        assert page.evaluate(fetched) == "TypeError"
        page.close()


def test_what_a_visitor_loads_is_small(site: Path) -> None:
    """The page has weights, code and style in it; the other files are for other programs."""
    assert sum((site / name).stat().st_size for name in ("index.html", "offline.js")) < 200_000


def test_the_comparison_with_onnxruntime_web(phone: Any, tmp_path: Path) -> None:
    site = write_site(EMBEDDED_MODEL, tmp_path, find_onnxruntime_web()).folder
    with served(site) as address, opened(phone, address) as page:
        page.click("#compare")
        page.wait_for_selector("#compare:not([disabled])", timeout=120_000)
        said = page.inner_text("#comparison")
        assert "times as fast" in said
        assert "the most likely class is the same" in said
        rows = page.locator("#comparison-table tbody td").all_text_contents()
        assert rows[2].startswith("onnxruntime-web ")
        assert rows[2].endswith(", one thread")
        assert all(cell.endswith(" ms") for cell in rows[1::2])


def test_the_comparison_needs_a_server(phone: Any, tmp_path: Path) -> None:
    """From the disk a browser loads no other files; the page itself goes on."""
    site = write_site(EMBEDDED_MODEL, tmp_path, find_onnxruntime_web()).folder
    page = phone.new_page()
    page.goto(on_disk(site))
    page.click("#compare")
    page.wait_for_selector("#compare:not([disabled])")
    assert "needs a server" in page.inner_text("#comparison")
    page.close()
