"""Times a model's web page beside onnxruntime-web in Chromium, without a window; also takes its picture.

usage: python benchmarks/browser.py MODEL.onnx [--onnxruntime-web DIST] [--image FILE] [--picture FILE]

The page itself measures, by its button "Compare": both run one image in turns, on one thread, after three
seconds of warming up. A row has the medians of one visit.
"""

import argparse
import functools
import shutil
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import sync_playwright

from rbnn_deploy.api import export_web

DIST = Path(__file__).parents[1] / "build" / "npm" / "node_modules" / "onnxruntime-web" / "dist"


def main() -> None:
    """Exports, opens the page, gives it an image, and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--onnxruntime-web", type=Path, default=DIST, help="folder dist of npm's package")
    parser.add_argument("--browser", default=shutil.which("chromium"))
    parser.add_argument("--image", type=Path, help="default: a drawing of a ship")
    parser.add_argument("--picture", type=Path, help="PNG to write")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = export_web(given.model, Path(folder) / "site", given.onnxruntime_web)
        print(f"module {result.module_bytes} bytes, page {result.page_bytes} bytes")
        image = given.image or Path(folder) / "ship.png"
        if given.image is None:
            draw_ship().save(image)
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=given.browser, args=["--no-sandbox"])
            measure(browser, result.folder, image, given)
            browser.close()


def measure(browser: Any, site: Path, image: Path, given: argparse.Namespace) -> None:
    """Prints a row per repetition."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for number in range(given.repeat):
        page = browser.new_page(viewport={"width": 700, "height": 505})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.set_input_files("#file", image)
        page.wait_for_selector("#classes li")
        page.click("#compare")
        page.wait_for_selector("#compare:not([disabled])", timeout=300_000)
        cells = page.locator("#comparison-table tbody td").all_text_contents()
        print(" | ".join([*cells, page.inner_text("#comparison")]), flush=True)
        if given.picture and number == given.repeat - 1:
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=given.picture)
            with Image.open(given.picture) as picture:
                picture.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(
                    given.picture, optimize=True
                )
        page.close()
    server.shutdown()


class Handler(SimpleHTTPRequestHandler):
    """Serves the page without a word."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def draw_ship() -> Image.Image:
    """Draws a ship at sea, 640 x 640."""
    image = Image.new("RGB", (640, 640))
    draw = ImageDraw.Draw(image)
    for y in range(640):
        sky, sea = y / 640, (y - 400) / 240
        above = (int(150 + 60 * sky), int(190 + 40 * sky), int(225 + 15 * sky))
        below = (int(40 + 20 * sea), int(85 + 10 * sea), int(125 - 20 * sea))
        draw.line((0, y, 640, y), fill=above if y < 400 else below)
    draw.polygon([(70, 380), (580, 380), (520, 470), (130, 470)], fill=(140, 40, 40))
    draw.rectangle((70, 350, 580, 385), fill=(235, 235, 235))
    draw.rectangle((180, 270, 440, 350), fill=(240, 240, 240))
    draw.rectangle((220, 210, 330, 270), fill=(225, 225, 225))
    draw.rectangle((360, 190, 410, 270), fill=(180, 60, 40))
    for x in range(200, 430, 40):
        draw.rectangle((x, 290, x + 20, 315), fill=(70, 90, 110))
    return image.filter(ImageFilter.GaussianBlur(2))


if __name__ == "__main__":
    main()
