"""Text that looks like an event: escaped wherever a line starts, untouched elsewhere."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_kernel.records.event_escape import ZERO_WIDTH, Escaper, escape

MARK = "MCP::"
SHOWN = f"MCP:{ZERO_WIDTH}:"
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["MCP::", "M", "C", "P", ":", "::", "MCP:", "\n", "\r", " ", "x", "\x1b[0m"]
        ),
        st.sampled_from(["\x85", "\u2028", "\x0b", "\t", "\ufeff", "\x08", "é", "MCP::death {}\n"]),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    "text",
    [
        "MCP::x",
        "a\nMCP::x",
        "a\rMCP::x",
        "a\r\nMCP::x",
        "a\u2028MCP::x",
        "a\x85MCP::x",
        "  \tMCP::x",
        "\ufeffMCP::x",
        "\x1b[31mMCP::x",
        "abc\x08\x08\x08MCP::x",
        "abc\x1b[2K\x1b[1GMCP::x",
    ],
)
def test_a_mark_where_a_reader_may_see_a_line_start_is_broken(text: str) -> None:
    assert escape(text) == text.replace(MARK, SHOWN)


@pytest.mark.parametrize("text", ["", "say MCP::x", "xMCP::", "MCP:x", "mcp::x", "M\nCP::x", "::"])
def test_other_text_is_left_alone(text: str) -> None:
    assert escape(text) == text


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(PIECES)
def test_text_in_pieces_is_shown_as_the_same_text_in_one(pieces: list[str]) -> None:
    whole = "".join(pieces)
    escaper = Escaper()

    shown = [escaper.text("c", "stdout", piece) for piece in pieces]

    assert "".join(shown) == escape(whole)
    assert "".join(shown).replace(SHOWN, MARK) == whole
    assert not any(line.strip().startswith(MARK) for line in "".join(shown).splitlines())


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["stdout", "stderr"]), PIECES)))
def test_no_reader_sees_a_mark_however_streams_and_cells_take_turns(
    said: list[tuple[str, str, list[str]]],
) -> None:
    escaper = Escaper()
    sent = [(c, s, escaper.text(c, s, text)) for c, s, pieces in said for text in pieces]

    views = [
        "".join(text for c, s, text in sent if c in cells and s in streams)
        for cells in ("a", "b", "ab")
        for streams in (("stdout",), ("stderr",), ("stdout", "stderr"))
        if cells != "ab" or len(streams) == 2
    ]
    assert not any(line.startswith(MARK) for view in views for line in view.splitlines())


def test_a_stream_that_was_not_seen_before_may_be_anywhere() -> None:
    escaper = Escaper()
    escaper.doubt("c")

    assert escaper.text("c", "stdout", "P::x") == f"P:{ZERO_WIDTH}:x"


def test_a_line_of_ours_starts_a_line_and_what_follows_does_too() -> None:
    escaper = Escaper()

    assert escaper.line("c") == ""
    escaper.text("c", "stdout", "half")
    assert escaper.line("c") == "\n"
    assert escaper.text("c", "stdout", "MCP::x") == f"{SHOWN}x"


@pytest.mark.parametrize("blank", [" ", "\t", "\x1b[0m"])
def test_a_line_of_ours_never_follows_blanks(blank: str) -> None:
    escaper = Escaper()
    escaper.text("c", "stdout", blank)

    assert escaper.line("c") == "\n"


def test_the_state_of_many_cells_is_bounded() -> None:
    escaper = Escaper()
    for number in range(1000):
        escaper.text(str(number), "stdout", "x")

    assert len(escaper._states) <= escaper._MOST


def test_a_line_of_very_many_marks_costs_no_more_than_its_length() -> None:
    text = "\x1b" + MARK * 300_000

    assert escape(text) == "\x1b" + SHOWN * 300_000
