"""Text for a terminal: tables and paragraphs as wide as it is, or 80 columns where there is none.

rich's tables are not used here: where space is short they cut digits off.
"""

import shutil
import textwrap
from collections.abc import Sequence

Row = Sequence[str]

GAP = "  "  # between two columns
KEPT_WHOLE = 24  # characters of a text in a table that are not folded


def terminal_width() -> int:
    """Returns the columns of the terminal, or the value of COLUMNS; 80 if the output is no terminal."""
    return shutil.get_terminal_size().columns


def table(
    header: Row, rows: Sequence[Row], *, text_columns: int, totals: Sequence[Row] = (), width: int = 0
) -> str:
    """Aligns a table.

    Args:
        header: Names of the columns; where space is short, they take several lines.
        rows: Cells, as many per row as there are columns.
        text_columns: How many of the first columns are text, set to the left and folded where names take
            several lines and the space is still short; the others are numbers, set to the right.
        totals: Further rows, below a line.
        width: Columns that it may take, if its numbers need no more; 0 for the terminal's.
    """
    widths = _widths(header, [*rows, *totals], text_columns, width or terminal_width())

    def lines(cells: Sequence[Sequence[str]], *, at_bottom: bool = False) -> list[str]:
        height = max(map(len, cells), default=0)
        padded = []
        for cell in cells:
            empty = [""] * (height - len(cell))
            padded.append([*empty, *cell] if at_bottom else [*cell, *empty])
        aligned = [
            [part.ljust(w) if i < text_columns else part.rjust(w) for part in cell]
            for i, (cell, w) in enumerate(zip(padded, widths, strict=True))
        ]
        return [GAP.join(parts).rstrip() for parts in zip(*aligned, strict=True)]

    def body(row: Row) -> list[str]:
        return lines([_fold(cell, w) for cell, w in zip(row, widths, strict=True)])

    names = [textwrap.wrap(name, w, break_on_hyphens=False) for name, w in zip(header, widths, strict=True)]
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    result = [*lines(names, at_bottom=True), rule]
    for row in rows:
        result += body(row)
    if totals:
        result.append(rule)
        for row in totals:
            result += body(row)
    return "\n".join(result)


def _widths(header: Row, rows: Sequence[Row], text_columns: int, width: int) -> list[int]:
    """Returns how wide each column is: as wide as it needs, or narrower where all would be too wide."""
    longest = [max((len(row[i]) for row in rows), default=0) for i in range(len(header))]
    words = [max(map(len, name.split()), default=0) for name in header]
    widths = [max(len(name), size) for name, size in zip(header, longest, strict=True)]
    kept = [max(pair) for pair in zip(words, longest, strict=True)]
    folded = [
        max(word, min(size, KEPT_WHOLE)) if i < text_columns else max(word, size)
        for i, (word, size) in enumerate(zip(words, longest, strict=True))
    ]
    for least in (kept, folded):
        while sum(widths) + len(GAP) * (len(widths) - 1) > width and widths != least:
            _, index = max((widths[i] - least[i], i) for i in range(len(widths)))
            widths[index] -= 1
    return widths


def _fold(cell: str, width: int) -> list[str]:
    return [cell[start : start + width] for start in range(0, len(cell), width)] or [""]


def paragraph(text: str, *, indent: str = "", width: int = 0) -> str:
    """Breaks a text between words, never within one.

    Args:
        text: One paragraph.
        indent: In front of all lines but the first.
        width: Columns that it may take; 0 for the terminal's.
    """
    return textwrap.fill(
        text,
        width or terminal_width(),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
