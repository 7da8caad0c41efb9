"""The drawing of the house in CONTRIBUTING.md is true: its folders, and which floor imports which."""

import re
from pathlib import Path

from support.paths import ROOT
from support.source_tree import imports, sources

PACKAGES = ("rbnn_deploy", "exporters", "runtimes")
SOURCES = {".py", ".cc", ".h", ".inc", ".onnx"}
UPWARD = {("pytorch/comparing.py", "comparing")}


def drawings() -> list[str]:
    """Returns the two drawings of the section: the folders, and the floors."""
    section = re.search(r"## The house\n(.*?)\n## ", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    blocks = re.findall(r"```text\n(.*?)```", section[1], re.DOTALL)
    assert len(blocks) == 2
    return blocks


def drawn_folders() -> set[str]:
    folders, path = set(), []
    for line in drawings()[0].splitlines():
        indent, name, purpose = re.fullmatch(r"( *)(\w+)/ +(\S.*)", line).groups()
        assert purpose
        assert len(indent) % 2 == 0
        path = [*path[: len(indent) // 2], name]
        folders.add("/".join(path))
    return folders


def floors() -> dict[str, int]:
    """Returns the height of every room; 0 is the lowest floor."""
    lines = drawings()[1].splitlines()
    return {room: len(lines) - 1 - i for i, line in enumerate(lines) for room in line.split()}


def room(module: str) -> str | None:
    """Returns the room of a module of rbnn_deploy; None for others and for the package itself."""
    name = re.match(r"rbnn_deploy\.(\w+)", module)
    if name is None or name[1] in ("__init__", "__main__"):
        return None
    return name[1] if name[1] in floors() else "foundations"


def module_of(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    parts = relative.parts if relative.parts[0] == "rbnn_deploy" else ("rbnn_deploy", *relative.parts)
    return ".".join(parts)


def test_every_folder_that_is_drawn_exists() -> None:
    assert [folder for folder in sorted(drawn_folders()) if not (ROOT / folder).is_dir()] == []


def test_every_folder_of_the_packages_is_drawn() -> None:
    holders = {
        path.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")  # which does not follow the two links
        if path.suffix in SOURCES
    }
    assert len(holders) > 20
    assert sorted(holders - drawn_folders()) == []


def test_every_room_stands_on_a_floor() -> None:
    children = {path.split("/")[1] for path in drawn_folders() if path.startswith("rbnn_deploy/")}
    assert children - floors().keys() == {"operators"}
    assert {"exporters", "runtimes", "foundations", "api"} < floors().keys()


def test_a_floor_imports_only_from_floors_below() -> None:
    height = floors()
    wrong, upward = [], set()
    arrows = 0
    for path in (file for package in PACKAGES for file in sources(package)):
        own = room(module_of(path))
        for module in imports(path):
            other = room(module)
            if own is None or other is None or own == other:
                continue
            # `from rbnn_deploy import api` names the module api; other names there are no modules.
            if other == "foundations" and not exists(module):
                continue
            arrows += 1
            if height[own] <= height[other]:
                arrow = ("/".join(module_of(path).split(".")[1:]) + ".py", other)
                if arrow in UPWARD:
                    upward.add(arrow)
                else:
                    wrong.append(arrow)
    assert arrows > 100
    assert wrong == []
    assert upward == UPWARD


def exists(module: str) -> bool:
    """Tells whether a name below rbnn_deploy begins with a file or folder."""
    place = ROOT / "rbnn_deploy" / module.split(".")[1]
    return place.is_dir() or place.with_suffix(".py").exists()
