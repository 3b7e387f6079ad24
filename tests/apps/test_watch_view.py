"""The screen of `jupyter flow watch` without a terminal: keys, bounds, hostile text."""

import re
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.apps.tables import Painter, display_width
from flow_kernel.apps.watch_gather import SessionLine, Snapshot
from flow_kernel.apps.watch_view import Decide, Hand, press, render
from flow_kernel.store.contract import ApprovalRow, TaskRow

IDS: Final = ("A-0001", "A-0002", "A-0003")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def _approval(approval_id: str, message: str) -> ApprovalRow:
    return ApprovalRow(
        approval_id=approval_id, plan_id="local", task_id="T-0001", step=None, message=message,
        code_sha256=None, payload_sha256=None, approval_hash="0", level="advisory",
        requested_by="ann", requested_at="2026-11-30T12:00:00.000Z", session="0" * 32,
    )  # fmt: skip


def _snapshot(text: str, count: int) -> Snapshot:
    session = SessionLine(
        session="f" * 32, pid=1, notebook=text, state="busy", place=text, code=text,
        elapsed_ms=3_200.0,
    )  # fmt: skip
    record: dict[str, Any] = {
        "kind": "cell", "timestamp": "2026-11-30T12:00:00.000Z", "session": "f" * 32,
        "code": text, "success": False, "error": {"ename": text},
    }  # fmt: skip
    return Snapshot(
        home=text,
        at="2026-11-30T12:03:44.000Z",
        sessions=(session,) * count,
        approvals=tuple(_approval(f"A-{n:04d}", text) for n in range(1, count + 1)),
        tasks=(TaskRow(plan_id="local", task_id="T-0001", name=text, status="doing"),) * count,
        workers=(),
        records=(record,) * count,
    )


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=200),
    st.integers(0, 9),
    st.integers(1, 200),
    st.integers(1, 60),
    st.sampled_from(["", "approve"]),
)
def test_whatever_was_written_the_screen_has_its_size_and_no_control_character(
    text: str, count: int, columns: int, rows: int, asks: str
) -> None:
    hand = Hand(selected="A-0001", asks=asks)
    lines = render(_snapshot(text, count), hand, Painter(colours=True), columns=columns, rows=rows)
    bare = [_COLOURS.sub("", line) for line in lines]

    assert len(lines) <= rows
    assert [line for line in bare if display_width(line) > columns] == []
    assert [line for line in bare if re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line)] == []


def test_the_screen_shows_what_happens_with_the_question_that_the_keys_are_about() -> None:
    hand = Hand(selected="A-0002")
    lines = render(_snapshot("load()", 2), hand, Painter(colours=False), columns=70, rows=24)
    shown = [line.rstrip() for line in lines if line.strip()]

    assert shown == [
        "load()                                                    12:03:44 UTC",
        "SESSIONS",
        "ffffffff  busy 3.2 s  load()  load()",
        "ffffffff  busy 3.2 s  load()  load()",
        "WAITING FOR AN ANSWER",
        "   A-0001  load()  local/T-0001",
        ">  A-0002  load()  local/T-0001",
        "TASKS",
        "T-0001  ▸  load()  doing",
        "T-0001  ▸  load()  doing",
        "RECENT",
        "12:00:00  ffffffff  cell        load()  (load())",
        "12:00:00  ffffffff  cell        load()  (load())",
        "j k select   a approve   r reject   q quit",
    ]
    assert len(lines) == 24


def test_keys_select_ask_and_answer_only_when_that_is_confirmed() -> None:
    hand, wanted = press(Hand(), "j", IDS)
    assert (hand.selected, wanted) == ("A-0002", None)
    hand, wanted = press(hand, "\x1b[A", IDS)
    assert press(hand, "k", IDS)[0].selected == "A-0001"
    hand, wanted = press(Hand(selected="A-0003"), "r", IDS)
    assert (hand.asks, wanted) == ("reject", None)
    assert press(hand, "y", IDS) == (Hand(selected="A-0003"), Decide("A-0003", "reject"))
    for key in ("n", "q", "a", "\x1b", "\r", " "):
        assert press(hand, key, IDS) == (
            Hand(selected="A-0003", message="not answered"), None,
        )  # fmt: skip


def test_a_question_that_was_answered_meanwhile_is_not_answered_in_the_place_of_another() -> None:
    hand, _ = press(Hand(selected="A-0002"), "a", IDS)

    after, wanted = press(hand, "y", ("A-0001", "A-0003"))
    assert wanted is None
    assert after.message == "A-0002 is no longer open"


@pytest.mark.parametrize("key", ["a", "r", "j", "k", "x", "\x00"])
def test_without_questions_no_key_does_anything(key: str) -> None:
    hand, wanted = press(Hand(), key, ())

    assert (wanted, hand.is_done, hand.asks, hand.selected) == (None, False, "", "")
    assert press(Hand(), "q", ())[0].is_done
