"""Text of somebody else's file on its way to a terminal."""

import unicodedata

# Controls (escape sequences begin with one), formats (they turn the direction of writing), lone surrogates,
# and separators of lines and paragraphs. Python's isprintable also refuses unassigned characters, which are
# harmless but may be somebody's newer alphabet.
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""Returns text whose characters that could steer a terminal are written as escapes such as \x1b."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in UNPRINTABLE else c for c in text
    )
