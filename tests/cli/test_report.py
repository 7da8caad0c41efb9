"""The page: what it shows, that it needs nothing else, and that a browser shows it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Page(HTMLParser):
    """Collects the elements and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def results(small_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Real results of the small model, as the commands write them."""
    import numpy as np

    import rbnn_deploy

    bench = rbnn_deploy.bench(small_model_path, runs=1, baselines=["fp32"]).to_json()
    shape = rbnn_deploy.load_model(small_model_path).input_shape
    images = np.random.default_rng(0).standard_normal((3, *map(int, shape)), np.float32)
    compared = rbnn_deploy.compare(small_model_path, None, images, [0, 1, 2], layers=True).to_json()
    inspected = rbnn_deploy.inspect(small_model_path).to_json()
    return {"bench": bench, "compare": compared, "inspect": inspected}


@pytest.fixture
def files(results: dict[str, Any], tmp_path: Path) -> list[Path]:
    other = json.loads(json.dumps(results["bench"]))
    other["host"]["processor"] = "another <processor> $x$ \x1b[31m"
    other["host"]["warnings"] = ["the clock fell"]
    other["layers"][0]["name"] = "</text><script>alert(1)</script> $\\frac$"
    contents = {
        **results,
        "sweep": {"schema": "rbnn-deploy.sweep/1", "benchmarks": [other, results["bench"]]},
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return [tmp_path / f"{name}.json" for name in contents]


@pytest.fixture
def page(files: list[Path], cli: Callable, tmp_path: Path) -> Path:
    outcome = cli("report", *files, "-o", tmp_path / "report.html")
    assert outcome.code == 0, outcome.err
    assert "3 benchmarks, 1 comparisons, 1 networks" in outcome.out
    return tmp_path / "report.html"


def test_it_shows_every_result(page: Path, results: dict[str, Any]) -> None:
    shown = Page(page.read_text())
    bench = results["bench"]
    assert shown.count("svg") == 6  # times and rates of each benchmark
    assert not any("mathdefault" in text for text in shown.texts)  # a formula that nobody has set
    for text in (
        bench["host"]["processor"] + ", " + bench["host"]["architecture"],
        r"another <processor> $x$ \x1b[31m, " + bench["host"]["architecture"],
        f"{bench['results'][0]['median_ms']:.3f}",
        "Doubt: the clock fell",
        "All runtimes agree.",
        "Bits that differ at each binary layer's input",
        *(f"{value:.2%}" for value in results["compare"]["accuracy"].values()),
        *(layer["operator"] for layer in results["inspect"]["layers"]),
        results["inspect"]["facts"]["nodes"],
    ):
        assert text in shown.texts


def test_it_loads_nothing_and_runs_nothing(page: Path) -> None:
    shown = Page(page.read_text())
    assert shown.count("script") == 0
    policy = next(values for tag, values in shown.tags if "http-equiv" in values)
    assert policy["content"].startswith("default-src 'none';")
    for tag, values in shown.tags:
        assert tag not in ("link", "img", "iframe", "image", "base", "object"), tag
        for name, value in values.items():
            # Names of XML's vocabularies look like addresses, and nobody fetches them.
            assert name.startswith("xmlns") or "//" not in (value or ""), (tag, name)
            assert name not in ("src", "xlink:href", "href") or (value or "").startswith("#"), (tag, name)
            assert not name.startswith("on"), (tag, name)
    assert "@import" not in page.read_text()
    assert set(re.findall(r"url\((.)", page.read_text())) <= {"#"}


def test_names_in_the_plots_do_not_collide(page: Path) -> None:
    names = [values["id"] for tag, values in Page(page.read_text()).tags if tag == "clippath"]
    assert len(names) == len(set(names)) > 0


def test_the_page_of_the_same_results_is_the_same(page: Path, files: list[Path], cli: Callable) -> None:
    again = page.with_name("again.html")
    cli("report", *files, "-o", again)
    assert again.read_bytes() == page.read_bytes()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_a_browser_shows_it(page: Path, results: dict[str, Any], tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    common = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--window-size=1200,2000"),
    ]

    def browse(*options: str) -> subprocess.CompletedProcess[str]:
        command = [*common, *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)

    done = browse("--dump-dom")
    shown = Page(done.stdout)
    assert shown.count("svg") == 6
    assert shown.count("script") == 0
    assert results["bench"]["host"]["processor"] in done.stdout
    assert "Refused to" not in done.stderr  # the page's policy stopped nothing, so nothing was asked for
    assert "violates" not in done.stderr
    browse(f"--screenshot={picture}")
    from PIL import Image

    with Image.open(picture) as image:
        colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert {(0x2A, 0x6F, 0x97), (0xC9, 0xA2, 0x27)} <= {colour for _, colour in colours}  # the bars
