"""Tables and paragraphs at given widths."""

import pytest

from rbnn_deploy.text_layout import paragraph, table, terminal_width

HEADER = ("layer", "kind", "median ms")
ROWS = [("stem", "[red]float[/red]", "1.25 MB"), ("layer1.conv1", ":smile:", "11.25 MB")]


def test_a_table_aligns_text_to_the_left_and_numbers_to_the_right() -> None:
    assert table(HEADER, ROWS, text_columns=2, totals=[("all", "", "12.5 MB")], width=80).split("\n") == [
        "layer         kind              median ms",
        "-----------------------------------------",
        "stem          [red]float[/red]    1.25 MB",
        "layer1.conv1  :smile:            11.25 MB",
        "-----------------------------------------",
        "all                               12.5 MB",
    ]


def test_a_table_without_rows() -> None:
    assert table(HEADER, [], text_columns=2, width=80).startswith("layer  kind  median ms\n---")


def test_a_long_name_is_folded_and_no_number_is() -> None:
    name = "".join(f"block{i}." for i in range(30))
    lines = table(HEADER, [(name, "binary", "123,456,789")], text_columns=2, width=50).split("\n")
    assert max(map(len, lines)) <= 50
    assert "".join(line[:31].strip() for line in lines[2:]).startswith("block0.block1.")
    assert sum("123,456,789" in line for line in lines) == 1


def test_long_headers_take_several_lines() -> None:
    lines = table(("", "share of the peak"), [("a", "1 %"), ("b", "2 %")], text_columns=1, width=12).split(
        "\n"
    )
    assert max(map(len, lines)) <= 12
    assert [line.split() for line in lines[-2:]] == [["a", "1", "%"], ["b", "2", "%"]]


def test_paragraphs_keep_words_whole() -> None:
    path = "/a/very/long-path/" * 5
    lines = paragraph(f"note: {path} is there and this goes on", indent="  ", width=30).split("\n")
    assert path in lines[1]
    assert lines[1].startswith("  /")
    assert all(len(line) <= 30 for line in lines if path not in line)


def test_the_width_is_what_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "45")
    assert terminal_width() == 45
    assert max(map(len, table(HEADER, [("x" * 90, "y", "1")], text_columns=2).split("\n"))) <= 45
