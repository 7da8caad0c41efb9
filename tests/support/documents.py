"""Takes the fenced blocks out of the project's pages."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT


@dataclass(frozen=True)
class Block:
    """A fenced block: the language behind its fence, which may be empty, and its text."""

    language: str
    text: str


def pages() -> list[Path]:
    """Returns every page that a reader may follow."""
    folders = (
        (ROOT / "docs").rglob("*.md"),
        (ROOT / "rbnn_deploy").rglob("*.md"),
        (ROOT / "examples").rglob("*.md"),
    )
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in folder)])


def blocks(page: Path) -> list[Block]:
    """Returns the fenced blocks of a page, in order."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [Block(language, text) for language, text in found]


def commands(page: Path) -> list[list[str]]:
    """Returns the commands of a page's `sh` blocks as words, in order, without comments.

    A line that ends with a backslash goes on in the next; `&&` separates two commands.
    """
    lines = [
        line
        for block in blocks(page)
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    parts = (part for line in lines for part in line.split("&&"))
    return [words for part in parts if (words := shlex.split(part, comments=True))]
