"""Tables fit the screen, align, and let nothing through that a terminal would obey."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.apps.tables import Column, Painted, Painter, Table, clip, display_width, plain

PLAIN = Painter(colours=False)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_printed_text_holds_no_control_escape_bidi_or_invisible_character(text: str) -> None:
    categories = {unicodedata.category(char) for char in plain(f"\x1b]0;title\x07{text}\u202e")}

    assert categories & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert not set(plain(text)) & set("\u200b\u200d\u202a\u202e\u2066\ufeff\u061c\u00ad")


def test_colours_and_titles_that_a_cell_printed_vanish_and_line_breaks_become_blanks() -> None:
    assert plain("\x1b[31mred\x1b[0m\x1b]2;owned\x07 a\r\nb\tc\x00") == "red a b c"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("df", 2),
        ("été", 3),
        ("e\u0301te\u0301", 3),
        ("日本", 4),
        ("한국어", 6),
        ("ﾊﾝｶｸ", 4),
        ("\uff26\uff55", 4),
        ("🙂", 2),
        ("", 0),
    ],
)
def test_width_counts_columns_of_the_terminal(text: str, width: int) -> None:
    assert display_width(text) == width


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.integers(0, 30))
def test_clipped_text_never_exceeds_its_width(text: str, width: int) -> None:
    clean = plain(text)

    assert display_width(clip(clean, width)) <= width
    assert clip(clean, 200) == clean


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=5), st.integers(1, 30), st.sampled_from("<>"))
def test_a_cell_of_many_pieces_takes_exactly_its_width(
    pieces: list[str], width: int, align: str
) -> None:
    shown = PLAIN.cell([Painted(piece, "red") for piece in pieces], width, align)

    assert display_width(shown) == width


def test_columns_align_with_east_asian_text_and_give_way_where_the_screen_is_narrow() -> None:
    columns = [
        Column(title="name", share=1, floor=6),
        Column(title="n", align=">"),
        Column(title="note", share=1, floor=4),
    ]
    rows = [["日本語のテキスト", "7", "ok"], ["plain", "12", "a rather long note"]]

    wide = Table(columns, rows, width=60)
    narrow = Table(columns, rows, width=24)

    assert [wide.row(row, PLAIN) for row in rows] == [
        "日本語のテキスト   7  ok",
        "plain             12  a rather long note",
    ]
    assert [narrow.row(row, PLAIN) for row in rows] == [
        "日本語の…   7  ok",
        "plain      12  a rather…",
    ]
    assert narrow.head(PLAIN).split() == ["name", "n", "note"]


def test_the_last_filled_cell_may_run_to_the_edge() -> None:
    columns = [Column(title="code", share=1, floor=8), Column(title="changed", share=1, floor=8)]
    rows = [["0123456789012345", ""], ["short", "+df"]]
    table = Table(columns, rows, width=20)

    assert table.row(rows[0], PLAIN) == "0123456789012345"
    assert table.row(["01234567890123456789", "+df"], PLAIN) == "012345678…  +df"


def test_a_number_that_outgrows_the_first_rows_is_shown_whole_and_the_table_still_fits() -> None:
    columns = [Column(title="seq", align=">"), Column(title="cell", share=1, floor=8)]
    table = Table(columns, [["1", "x" * 40]], width=20)

    rows = [table.row([str(10**n), "x" * 40], PLAIN) for n in (0, 5, 3)]

    assert rows == ["  1  xxxxxxxxxxxxxx…", "100000  xxxxxxxxxxx…", "  1000  xxxxxxxxxxx…"]


def test_colours_appear_only_where_they_are_wanted() -> None:
    cell = [Painted("+df", "green"), Painted(" rest")]

    assert Painter(colours=True).cell(cell, 8) == "\x1b[32m+df\x1b[0m rest"
    assert Painter(colours=False).cell(cell, 8) == "+df rest"
