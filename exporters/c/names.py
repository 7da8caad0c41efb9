"""Names of somebody else's model as C identifiers, and as text in C comments and strings."""

import re

from rbnn_deploy.text import printable

LONGEST = 48


class Identifiers:
    """Gives every name an identifier of its own, in which a reader recognises it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def make(self, prefix: str, name: str) -> str:
        """Returns `prefix_name` with underscores for all that C does not allow, and a number if it is taken.

        The prefix keeps keywords, digits in front and empty names from being identifiers.
        """
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:LONGEST]
        base = f"{prefix}_{plain}" if plain else prefix
        identifier, number = base, 2
        while identifier in self._taken:
            identifier, number = f"{base}_{number}", number + 1
        self._taken.add(identifier)
        return identifier


def comment_text(name: str) -> str:
    """Returns text that neither ends a comment nor continues its line."""
    ascii_only = printable(name).encode("ascii", "backslashreplace").decode()
    return ascii_only.replace("\\", "/").replace("*/", "* /").replace("/*", "/ *").replace("?", ".")[:200]


def string_literal(text: str) -> str:
    """Returns text as a C string: its UTF-8 bytes, of which all but plain characters as octal escapes."""
    plain = [
        chr(b) if chr(b).isascii() and (chr(b).isalnum() or chr(b) in " _-.,'()+/") else f"\\{b:03o}"
        for b in text.encode("utf-8", "backslashreplace")
    ]
    return f'"{"".join(plain)}"'
