"""The programs of examples/cpp, built by their CMake file and run: the logits of `load_model`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from support.paths import ROOT

from rbnn_deploy import get_library_path, load_model
from rbnn_deploy.data.image_file import load_image
from rbnn_deploy.data.preprocessing import preprocessing_of
from rbnn_deploy.models import EMBEDDED_MODEL

SOURCES = ROOT / "examples" / "cpp"
FETCHED = ROOT / "build" / "onnxruntime"  # `make onnxruntime-headers` makes it
PROGRAMS = ("classify", "classify_c")
UNSEEN = 'a "b" \\ é 🐱'


def find_headers() -> Path:
    """Returns the folder with onnxruntime_c_api.h, or skips."""
    system = [Path(root, "include") for root in ("/usr", "/usr/local")]
    places = [Path(given)] if (given := os.environ.get("ONNXRUNTIME_INCLUDE")) else [FETCHED, *system]
    for place in places:
        for folder in (place, place / "onnxruntime", place / "onnxruntime/core/session"):
            if (folder / "onnxruntime_c_api.h").is_file():
                return folder
    pytest.skip(
        "ONNX Runtime's headers are not here; run `make onnxruntime-headers`, or set ONNXRUNTIME_INCLUDE"
    )


def pip_library() -> Path:
    """Returns the shared library in pip's package, whose name ends with its full version."""
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    return library


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    headers = find_headers()
    if not (shutil.which("cmake") and shutil.which("c++")):
        pytest.skip("needs cmake and a C++ compiler")
    build = tmp_path_factory.mktemp("examples")
    given = {
        "ONNXRUNTIME_INCLUDE": headers,
        "ONNXRUNTIME_LIBRARY": pip_library(),
        "CMAKE_COMPILE_WARNING_AS_ERROR": "ON",
    }
    options = [f"-D{name}={value}" for name, value in given.items()]
    for command in (["cmake", "-S", SOURCES, "-B", build, *options], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return build


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def draw_image(path: Path, channels: int, size: int) -> Path:
    """Writes noise as a PPM or PGM file."""
    shape = (size, size, 3) if channels == 3 else (size, size)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(path)
    return path


def logits_of(model: Path, image: Path) -> np.ndarray:
    runtime = load_model(model, threads=1)
    return runtime.run(preprocessing_of(runtime.metadata)(load_image(image))[None])[0]


def with_properties(source: Path, target: Path, **values: str | None) -> Path:
    """Copies a model with other metadata; None removes an entry."""
    proto = onnx.load(source)
    kept = {p.key: p.value for p in proto.metadata_props}
    for name, value in values.items():
        kept.pop(f"rbnn_deploy.{name}", None)
        if value is not None:
            kept[f"rbnn_deploy.{name}"] = value
    kept.pop("rbnn_deploy.sha256", None)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept)
    onnx.save(proto, target)
    return target


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["colour", "grey"])
def test_all_logits_are_those_of_load_model(
    program: str, kind: str, programs: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = EMBEDDED_MODEL if kind == "colour" else request.getfixturevalue("model")
    metadata = load_model(path).metadata
    channels, size, _ = metadata.input_shape
    image = draw_image(tmp_path / ("x.ppm" if channels == 3 else "x.pgm"), channels, size)
    done = run(programs / program, path, get_library_path(), image, 1000)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    expected = logits_of(path, image)
    order = [int(number) for number, *_ in lines]
    assert sorted(order) == list(range(len(expected)))
    # Nine digits tell every float32 from every other.
    assert [np.float32(logit) for _, logit, _ in lines] == list(expected[order])
    assert (np.diff(expected[order]) <= 0).all()
    assert [name for *_, name in lines] == [metadata.class_names[number] for number in order]


@pytest.mark.parametrize("program", PROGRAMS)
def test_five_classes_are_printed_if_nobody_asks_for_more(
    program: str, programs: Path, tmp_path: Path
) -> None:
    image = draw_image(tmp_path / "x.ppm", 3, 32)
    done = run(programs / program, EMBEDDED_MODEL, get_library_path(), image)
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.parametrize("program", PROGRAMS)
def test_names_of_any_letters_and_no_normalisation(program: str, programs: Path, tmp_path: Path) -> None:
    names = json.dumps([UNSEEN] * 10)
    assert "\\ud83d" in names  # JSON has it as a pair
    model = with_properties(EMBEDDED_MODEL, tmp_path / "m.onnx", class_names=names, mean=None, std=None)
    image = draw_image(tmp_path / "x.ppm", 3, 32)
    done = run(programs / program, model, get_library_path(), image, 1)
    assert (done.returncode, done.stderr) == (0, "")
    number, logit, name = done.stdout.rstrip("\n").split(maxsplit=2)
    expected = logits_of(model, image)
    assert (int(number), np.float32(logit)) == (expected.argmax(), expected.max())
    assert name == UNSEEN


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no arguments", "usage: "),
        ("no model", "nowhere.onnx"),
        ("no library", "nowhere.so"),
        ("no image", "cannot be opened"),
        ("a PNG", "no binary PPM"),
        ("another size", "another size"),
        ("a short file", "ends too early"),
        ("no metadata", "no metadata"),
        ("one mean", "one number per channel"),
    ],
)
def test_a_fault_is_one_sentence(
    fault: str, words: str, program: str, programs: Path, tmp_path: Path
) -> None:
    model, library = EMBEDDED_MODEL, get_library_path()
    image = draw_image(tmp_path / "x.ppm", 3, 31 if fault == "another size" else 32)
    if fault == "no model":
        model = tmp_path / "nowhere.onnx"
    elif fault == "no library":
        library = tmp_path / "nowhere.so"
    elif fault == "no image":
        image = tmp_path / "nowhere.ppm"
    elif fault == "a PNG":
        image = draw_image(tmp_path / "x.png", 3, 32)
    elif fault == "a short file":
        image.write_bytes(image.read_bytes()[:-1])
    elif fault == "no metadata":
        model = with_properties(model, tmp_path / "m.onnx", input_shape=None)
    elif fault == "one mean":
        model = with_properties(model, tmp_path / "m.onnx", mean="[0.5]")
    done = run(programs / program, *(() if fault == "no arguments" else (model, library, image)))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert words in done.stderr
