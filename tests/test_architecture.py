"""The arrows between the packages, and what running a deployed model may import."""

import ast
import subprocess
import sys
import tomllib

import pytest
from support.paths import ROOT
from support.source_tree import knows, sources

import rbnn_deploy

# The places that may see exporters and runtimes both.
MEETING_PLACES = ("cli", "comparing", "benchmarking", "classifying", "estimating", "api.py", "__init__.py")
# The place that needs PyTorch.
TORCH_SIDE = "pytorch"
TRAINING_PACKAGES = ("torch", "onnxscript", "onnxsim", "onnx_ir", "sklearn", "matplotlib")
EXPORTERS, RUNTIMES, TORCH = (f"rbnn_deploy.{name}" for name in ("exporters", "runtimes", TORCH_SIDE))


@pytest.mark.parametrize(("package", "forbidden"), [("exporters", RUNTIMES), ("runtimes", EXPORTERS)])
def test_exporters_and_runtimes_do_not_know_each_other(package: str, forbidden: str) -> None:
    assert [path for path in sources(package) if knows(path, forbidden)] == []


def test_core_knows_neither_exporters_nor_runtimes() -> None:
    core = [
        path
        for path in sources("rbnn_deploy")
        if path.relative_to(ROOT / "rbnn_deploy").parts[0] not in MEETING_PLACES
    ]
    assert core
    assert [path for path in core if knows(path, EXPORTERS, RUNTIMES)] == []


def test_exporters_and_runtimes_know_only_the_core() -> None:
    places = [
        f"rbnn_deploy.{place.removesuffix('.py')}" for place in MEETING_PLACES if place != "__init__.py"
    ]
    assert [path for path in [*sources("exporters"), *sources("runtimes")] if knows(path, *places)] == []


def test_nobody_imports_the_folders_by_names_that_are_not_installed() -> None:
    everything = [*sources("rbnn_deploy"), *sources("exporters"), *sources("runtimes"), *sources("tests")]
    assert [path for path in everything if knows(path, "exporters", "runtimes")] == []


def test_sessions_are_made_in_one_place() -> None:
    """So a benchmark times the session that a user's program gets."""
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in [*sources("rbnn_deploy"), *sources("exporters"), *sources("runtimes")]
        if any(
            isinstance(node, ast.Attribute | ast.Name)
            and "InferenceSession" in (getattr(node, "attr", ""), getattr(node, "id", ""))
            and isinstance(node.ctx, ast.Load)
            for node in (
                call.func for call in ast.walk(ast.parse(path.read_text())) if isinstance(call, ast.Call)
            )
        )
    }
    # The library's description of itself is asked for without a model.
    assert makers - {"runtimes/library.py"} == {"runtimes/onnx_runtime.py"}


def test_runtimes_import_no_training_package() -> None:
    assert [path for path in sources("runtimes") if knows(path, TORCH, *TRAINING_PACKAGES)] == []


def test_only_the_torch_side_and_exporters_load_training_packages() -> None:
    device_side = [
        path
        for path in sources("rbnn_deploy")
        if path.relative_to(ROOT / "rbnn_deploy").parts[0] != TORCH_SIDE
    ]
    assert [path for path in device_side if knows(path, *TRAINING_PACKAGES, anywhere=False)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "import rbnn_deploy, rbnn_deploy.cli",
        "import rbnn_deploy as r; r.load_model; r.get_library_path; r.bench; r.compare; r.inspect",
        "import rbnn_deploy.runtimes.onnx_runtime, rbnn_deploy.runtimes.numpy_backend.runtime",
        "import rbnn_deploy.inspecting, rbnn_deploy.data, rbnn_deploy.comparing, rbnn_deploy.classifying",
    ],
)
def test_a_device_loads_no_training_package(statement: str) -> None:
    code = f"import sys\n{statement}\nprint(*(sorted(set(sys.modules) & {set(TRAINING_PACKAGES)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_public_names() -> None:
    assert sorted(rbnn_deploy.__all__) == [
        "BinaryConvolution",
        "ModelMetadata",
        "RotatedBinaryConv2d",
        "__version__",
        "adapt",
        "begin_epoch",
        "bench",
        "binarize",
        "compare",
        "evaluate",
        "export",
        "fold",
        "get_library_path",
        "inspect",
        "load_checkpoint",
        "load_model",
        "train",
    ]
    for name in rbnn_deploy.__all__:
        assert getattr(rbnn_deploy, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rbnn_deploy.nonsense  # noqa: B018


def test_lower_bounds_are_those_that_the_lowest_environment_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *project["optional-dependencies"]["report"]]
    bounds = {name: bound for name, _, bound in (text.partition(">=") for text in stated)}
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins.keys() == bounds.keys()
    for name, pin in pins.items():
        assert [int(part) for part in bounds[name].split(".")] == [
            int(part) for part in pin.split(".")[: len(bounds[name].split("."))]
        ], name
        assert pin.removeprefix(bounds[name]).strip(".0") == "", name
