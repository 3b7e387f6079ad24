"""Event lines: what is written is read back, and nothing else is believed."""

import io
import json
import os
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_kernel.events import Event, EventReader, read
from flow_kernel.records.agent_events import LINE_BYTES, NAMES, encode
from flow_kernel.records.event_budget import ALWAYS, PER_CELL, EventBudget

KEY = bytes(range(32))
SESSION = "ab" * 16
NONCE = "cd" * 8
HOSTILE = "a\nb\rc\x0b\x1b[2Jd\x85e\u2028f\u2029g\u202eh\x7f\0\ud800😀 MCP::death {}"
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())


def _line(name: str = "task_start", seq: int = 1, *, key: bytes = KEY, **fields: Any) -> str:
    return encode(name, fields, key=key, session=SESSION, nonce=NONCE, seq=seq)


def test_an_event_is_read_as_it_was_written() -> None:
    line = _line("need_approval", 7, code=2001, id="A-0001", msg="Delete it?")

    assert [*read([line], key=KEY)] == [
        Event(
            name="need_approval",
            session=SESSION,
            seq=7,
            fields={"code": 2001, "id": "A-0001", "msg": "Delete it?"},
        )
    ]


def test_a_line_is_the_name_and_one_object_with_session_nonce_number_and_signature_first() -> None:
    name, _, body = _line(msg="x").partition(" ")

    assert name == "MCP::task_start"
    assert [*json.loads(body)] == ["s", "n", "q", "sig", "msg"]


# The first text that hypothesis makes costs it a second.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(sorted(NAMES)), st.dictionaries(st.sampled_from("abcde"), SCALARS))
def test_any_field_gives_one_line_of_ascii_that_is_short_and_read_back(
    name: str, fields: dict[str, Any]
) -> None:
    line = _line(name, **fields)

    assert line.isascii()
    assert line.isprintable() is False
    assert line[:-1].isprintable()
    assert len(line) <= LINE_BYTES
    assert [event.name for event in read(line.splitlines(keepends=True), key=KEY)] == [name]


def test_a_text_that_is_too_long_is_cut_and_the_line_says_so() -> None:
    (event,) = read([_line(id="A-0001", msg=HOSTILE * 50)], key=KEY)

    assert event.fields["id"] == "A-0001"
    assert event.fields["cut"] is True
    assert event.fields["msg"].endswith("...")
    assert len(event.fields["msg"]) > 20


def test_an_id_is_whole_or_not_there() -> None:
    (event,) = read([_line(task_id="T-0001", plan_id="p" * 200, msg="m" * 99)], key=KEY)

    assert "plan_id" not in event.fields
    assert event.fields["task_id"] == "T-0001"


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="approved"):
        _line("approved")


def test_any_changed_byte_of_a_line_is_refused() -> None:
    line = _line(msg="pay 100")[:-1].encode()
    changed = [
        line[:at] + bytes([line[at] ^ bit]) + line[at + 1 :]
        for at in range(len(line))
        for bit in (1, 4, 32)
    ]

    assert [*read(changed, key=KEY)] == []


def test_a_torn_line_is_refused() -> None:
    line = _line(msg="pay 100")
    reader = read([line[:at] for at in range(len(line) - 1)], key=KEY)

    assert [*reader] == []
    assert reader.refused == len(line) - 6


def test_a_repeated_or_late_line_is_refused_and_counted() -> None:
    first, second, third = (_line(seq=seq) for seq in (1, 2, 3))
    reader = read([first, first, third, second, third], key=KEY)

    assert [event.seq for event in reader] == [1, 3]
    assert reader.refused == 3


def test_a_new_reader_can_be_told_what_is_known_already() -> None:
    lines = [_line(seq=seq) for seq in (1, 2, 3)]

    assert [event.seq for event in read(lines, key=KEY, after=2)] == [3]


def test_another_key_session_or_nonce_is_refused() -> None:
    line = _line()

    assert [*read([line], key=os.urandom(32))] == []
    assert [*read([line], key=KEY, session="0" * 32)] == []
    assert [*read([line], key=KEY, nonce="0" * 16)] == []
    assert len([*read([line], key=KEY.hex(), session=SESSION, nonce=NONCE)]) == 1


def test_a_key_of_the_wrong_length_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        read([], key=b"short")


def test_events_are_found_in_text_and_binary_files_between_other_lines() -> None:
    text = f"loss 0.1\n{_line()}never {_line(seq=2)}\rMCP::x\n" + "y" * 5000 + f"\n{_line(seq=3)}"

    assert [event.seq for event in read(io.StringIO(text), key=KEY)] == [1, 3]
    assert [event.seq for event in read(io.BytesIO(text.encode()), key=KEY)] == [1, 3]


def test_an_event_in_a_long_line_is_no_event_wherever_the_pieces_end() -> None:
    for pad in range(590, 610):
        stream = io.StringIO("y" * pad + _line())

        assert [*read(stream, key=KEY)] == []


@given(st.lists(st.integers(1, 400), max_size=8))
def test_output_may_be_fed_in_pieces_cut_anywhere(cuts: list[int]) -> None:
    text = f"a\n{_line(msg='x')}b\n{_line('death', 2, reason='é')}c".encode()
    reader = EventReader(key=KEY)
    edges = [0, *sorted(cuts), len(text)]

    found = [e.seq for a, b in pairwise(edges) for e in reader.feed(text[a : max(a, b)])]

    assert found == [1, 2]


def test_at_most_one_progress_a_second_is_told() -> None:
    budget = EventBudget()

    told = [at / 10 for at in range(35) if budget.admits("progress", at / 10)]

    assert told == [0.0, 1.0, 2.0, 3.0]
    assert budget.end_cell() == 0


def test_at_most_fifty_events_of_a_cell_are_told_and_the_rest_is_counted() -> None:
    budget = EventBudget()

    told = [budget.admits("step_start", 0.0) for _ in range(70)]

    assert told.count(True) == PER_CELL
    assert budget.end_cell() == 20
    assert (budget.admits("step_start", 0.0), budget.end_cell()) == (True, 0)


def test_what_an_agent_waits_for_is_never_held_back() -> None:
    budget = EventBudget()
    for _ in range(100):
        budget.admits("step_start", 0.0)

    assert all(budget.admits(name, 0.0) for name in ALWAYS)
    assert ALWAYS < NAMES
