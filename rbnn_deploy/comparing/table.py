"""Aligned text tables."""

from collections.abc import Sequence


def render(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> str:
    """Aligns a table.

    Args:
        header: Names of the columns.
        rows: Cells, as many a row as columns.
        text_columns: How many of the first columns are text, set to the left; the rest is set to the right.
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    aligned = [
        [
            cell.ljust(w) if i < text_columns else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)
