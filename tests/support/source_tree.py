"""The modules of the packages, and the names that they import."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT


def sources(package: str) -> list[Path]:
    """Returns the modules of a top-level folder; the links in rbnn_deploy lead to the other two."""
    files = [
        path
        for path in sorted((ROOT / package).rglob("*.py"))
        if package != "rbnn_deploy" or path.relative_to(ROOT).parts[1] not in ("exporters", "runtimes")
    ]
    assert files
    return files


def imports(path: Path, *, anywhere: bool = True) -> Iterator[str]:
    """Yields what a module imports: anywhere in it, or only what it loads when it is imported itself."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def knows(path: Path, *places: str, anywhere: bool = True) -> bool:
    """Tells whether a module imports one of these packages or a part of it."""
    return any(
        name == place or name.startswith(f"{place}.")
        for name in imports(path, anywhere=anywhere)
        for place in places
    )
