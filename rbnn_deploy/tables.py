"""Tables of results, for a terminal and for a notebook or page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from rbnn_deploy.text import printable
from rbnn_deploy.text_layout import Row, table


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        header: Names of the columns.
        rows: Cells, as many per row as there are columns.
        text_columns: How many of the first columns are text; the others are numbers.
        totals: Further rows, below a line.
        title: A sentence or name above it; none if empty.
    """

    header: Row
    rows: Sequence[Row]
    text_columns: int
    totals: Sequence[Row] = ()
    title: str = ""

    def to_text(self) -> str:
        """Returns the table for a terminal, without its title."""
        return table(self.header, self.rows, text_columns=self.text_columns, totals=self.totals)

    def to_html(self) -> str:
        """Returns the table as HTML; all texts are escaped."""
        head = "".join(f"<th{self._style(i)}>{escaped(name)}</th>" for i, name in enumerate(self.header))
        foot = f"<tfoot>{''.join(map(self._row, self.totals))}</tfoot>" if self.totals else ""
        caption = f"<caption>{escaped(self.title)}</caption>" if self.title else ""
        body = "".join(map(self._row, self.rows))
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}</table>"

    def _row(self, cells: Row) -> str:
        return (
            "<tr>" + "".join(f"<td{self._style(i)}>{escaped(c)}</td>" for i, c in enumerate(cells)) + "</tr>"
        )

    def _style(self, column: int) -> str:
        return f' style="text-align:{"left" if column < self.text_columns else "right"}"'


def escaped(text: str) -> str:
    """Returns text as HTML shows it; invisible characters, which could steer what shows it, are escaped."""
    return html.escape(printable(text))


def fragment(title: str, tables: Sequence[Table], sentences: Sequence[str] = ()) -> str:
    """Returns a title, tables and paragraphs as HTML, as a notebook shows an object."""
    parts = [f"<p><b>{escaped(title)}</b></p>", *(part.to_html() for part in tables)]
    return "\n".join([*parts, *(f"<p>{escaped(sentence)}</p>" for sentence in sentences)])
