"""Lines of a C initialiser."""

from collections.abc import Iterable, Iterator

LINE = 110


def lines_of(items: Iterable[str]) -> Iterator[str]:
    """Breaks items, each followed by a comma, into indented lines."""
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > LINE:
            yield line
            line = "   "
        line += f" {item},"
    yield line
