"""The arrows between the packages, and what running a deployed model may import."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rbnn_deploy

ROOT = Path(__file__).parent.parent
# The places that may see exporters and runtimes both.
MEETING_PLACES = ("cli", "comparing", "benchmarking", "api.py", "__init__.py")
TRAINING_PACKAGES = ("torch", "onnxscript", "onnxsim", "onnx_ir", "sklearn", "matplotlib")


def sources(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    return files


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize(("package", "forbidden"), [("exporters", "runtimes"), ("runtimes", "exporters")])
def test_exporters_and_runtimes_do_not_know_each_other(package: str, forbidden: str) -> None:
    assert [path for path in sources(package) if forbidden in roots(path)] == []


def test_core_knows_neither_exporters_nor_runtimes() -> None:
    core = [
        path
        for path in sources("rbnn_deploy")
        if path.relative_to(ROOT / "rbnn_deploy").parts[0] not in MEETING_PLACES
    ]
    assert core
    assert [path for path in core if roots(path) & {"exporters", "runtimes"}] == []


def test_exporters_and_runtimes_know_only_the_core() -> None:
    places = {
        f"rbnn_deploy.{place.removesuffix('.py')}" for place in MEETING_PLACES if place != "__init__.py"
    }
    for path in [*sources("exporters"), *sources("runtimes")]:
        assert not [
            name
            for name in imports(path)
            if name in places or name.startswith(tuple(p + "." for p in places))
        ]


def test_runtimes_import_no_training_package() -> None:
    assert [path for path in sources("runtimes") if roots(path) & set(TRAINING_PACKAGES)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "import rbnn_deploy, rbnn_deploy.cli",
        "import rbnn_deploy; rbnn_deploy.load_model; rbnn_deploy.get_library_path",
        "import runtimes.onnx_runtime, runtimes.numpy_backend.runtime",
        "import rbnn_deploy.inspecting, rbnn_deploy.data, rbnn_deploy.comparing",
    ],
)
def test_a_device_loads_no_training_package(statement: str) -> None:
    code = f"import sys\n{statement}\nprint(*(sorted(set(sys.modules) & {set(TRAINING_PACKAGES)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_public_names() -> None:
    assert sorted(rbnn_deploy.__all__) == [
        "RotatedBinaryConv2d",
        "__version__",
        "compare",
        "export",
        "fold",
        "get_library_path",
        "load_checkpoint",
        "load_model",
        "train",
    ]
    for name in rbnn_deploy.__all__:
        assert getattr(rbnn_deploy, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rbnn_deploy.nonsense  # noqa: B018
