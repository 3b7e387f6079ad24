"""A secret across the cut of a summary leaves no half of itself."""

import sys
from types import FrameType

import pytest

from flow_kernel.records.redaction import Redactor
from flow_kernel.records.summaries import summarise
from flow_kernel.session.cut_summaries import mend

PASSWORD = "correct" + "HorseBattery" * 12
URL = "mysql://user:" + PASSWORD + "@host/db"


@pytest.mark.parametrize(
    "value",
    [
        URL,
        "x" * 60 + " " + URL,
        [URL, 1],
        (URL,),
        {"where": URL},
        {URL: 1},
        URL.encode(),
        bytearray(URL.encode()),
    ],
    ids=["text", "long text", "list", "tuple", "dict value", "dict key", "bytes", "bytearray"],
)
def test_no_part_of_a_secret_is_left(value: object) -> None:
    summary = summarise(value)
    assert mend(summary, value, Redactor({})) >= 1
    assert "correct" not in str(summary)
    assert len(str(summary["summary"])) <= 120


def test_an_ordinary_long_text_keeps_its_summary() -> None:
    text = "nothing to hide, word after word " * 100
    summary = summarise(text)
    assert mend(summary, text, Redactor({})) == 0
    assert summary == summarise(text)


def test_a_user_class_is_not_looked_into() -> None:
    class Hostile(str):
        def __getitem__(self, _: object) -> str:
            raise SystemExit

    assert mend({"summary": "instance…"}, Hostile(URL), Redactor({})) == 0


def test_a_dict_that_another_thread_changes_meanwhile_shows_nothing() -> None:
    value: dict[str, object] = {"where": URL, "when": "now"}
    summary = summarise(value)
    before = sys.gettrace()

    def change_in_between(frame: FrameType, event: str, _: object) -> object:
        """A thread that is switched to at the worst moment, which chance seldom hits."""
        if frame.f_code.co_name == "_texts" and event == "line":
            value[f"more {len(value)}"] = 0
        return change_in_between

    sys.settrace(change_in_between)
    try:
        found = mend(summary, value, Redactor({}))
    finally:
        sys.settrace(before)
    assert found >= 1
    assert "correct" not in str(summary)
