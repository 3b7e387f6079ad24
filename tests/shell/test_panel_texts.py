"""What buttons and panel show: records in short lines, and three hundred hostile texts as texts."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, Final

import pytest

from flow_kernel.shell.panel.orders import read_order
from flow_kernel.shell.panel.questions import Outcome, QuestionWidget, question_of, take_answer
from flow_kernel.shell.panel.rows import row_of, row_of_approval
from flow_kernel.shell.panel.still import StillPanel
from flow_kernel.shell.views.approve_display import ApprovalCard
from flow_kernel.store.contract import ApprovalRow
from tests.hostile_texts import TEXTS

_CONTROLS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SPAN: Final = "0123456789abcdef"


def question(text: str, status: str = "open") -> ApprovalRow:
    is_open = status == "open"
    return ApprovalRow(
        approval_id="A-0001",
        plan_id="local",
        task_id="T-0001",
        step=None,
        message=text,
        code_sha256=None,
        payload_sha256=None,
        approval_hash="0" * 64,
        level="advisory",
        status=status,
        requested_by=text,
        requested_at="2026-01-02T03:04:05.678Z",
        session="0" * 32,
        decided_by=None if is_open else text,
        decided_at=None if is_open else "2026-01-02T03:05:00.000Z",
        channel=None if is_open else "button",
        comment=text,
        payload=text,
        code=text,
    )


def records(text: str) -> list[dict[str, object]]:
    at = "2026-01-02T03:04:05.678Z"
    return [
        {"kind": "cell_started", "span_id": _SPAN, "timestamp": at, "code": text},
        {"kind": "cell", "span_id": _SPAN, "timestamp": at, "code": text, "status": text,
         "worker": text, "elapsed_ms": 3.0, "added_vars": [text], "imports": {text: None},
         "error": {"ename": text, "evalue": text}},
        {"kind": "step", "number": text, "state": text, "name": text, "reason": text},
        {"kind": "checkpoint", "checkpoint_id": text, "name": text, "created_at": at},
        {"kind": "rollback", "seq": 3, "checkpoint_id": text, "restored": [text], "files": [text]},
        {"kind": "death", "seq": 4, "reason": text, "timestamp": at},
        {"kind": "worker", "seq": 5, "worker_id": text, "state": "dead", "reason": text},
    ]  # fmt: skip


def panel(text: str) -> StillPanel:
    rows = [row for record in records(text) if (row := row_of(record)) is not None]
    rows += [row_of_approval(question(text)), row_of_approval(question(text, "rejected"))]
    head = {"title": text, "status": text, "step": text, "recording": False}
    worker = {"title": text, "detail": text, "tone": text}
    return StillPanel({"head": head, "rows": rows, "workers": [worker]}, note=text)


def elements(html: str) -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = []

    class _Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, tuple(name for name, _ in attrs)))

    _Reader().feed(html)
    return found


def test_no_hostile_text_adds_an_element() -> None:
    assert len(TEXTS) >= 300
    ours = elements(panel("text")._repr_html_())
    answered = elements(Outcome(question("text", "rejected"))._repr_html_())
    card = elements(ApprovalCard(question("text"))._repr_html_())

    for text in TEXTS:
        assert elements(panel(text)._repr_html_()) == ours, text
        assert elements(Outcome(question(text, "rejected"))._repr_html_()) == answered, text
        assert elements(ApprovalCard(question(text))._repr_html_()) == card, text


def test_no_control_character_reaches_a_view() -> None:
    for text in TEXTS:
        shown = [row_of(record) for record in records(text)]
        shown += [row_of_approval(question(text)), question_of(question(text))]
        for value in _strings(shown):
            assert not _CONTROLS.search(value), (text, value)


def test_a_question_shows_its_code_and_says_of_each_part_what_is_cut() -> None:
    row = replace(question("m" * 2010), code="x = 1\n" * 61, payload="{}\n" * 70)
    whole = "see `jupyter flow approvals A-0001`"

    shown = question_of(row)

    assert shown["message"] == f"{'m' * 2000}\n… 10 more characters, {whole}"
    assert shown["code"] == [*["  │ x = 1"] * 59, f"… 3 more lines, {whole}"]
    assert shown["payload"] == [*["  │ {}"] * 59, f"… 12 more lines, {whole}"]
    assert question_of(row, shows_code=False)["code"] == []


def test_a_cell_is_a_line_with_duration_worker_changes_and_error() -> None:
    row = row_of(
        {
            "kind": "cell", "span_id": _SPAN, "timestamp": "2026-01-02T03:04:05.678Z",
            "execution_count": 7, "code": "\ndf = load()\ndf", "status": "error", "worker": "w1",
            "elapsed_ms": 1234.0, "added_vars": ["df"], "changed_vars": ["x"],
            "error": {"ename": "ValueError", "evalue": "no\nrows"},
        }
    )  # fmt: skip

    assert row == {
        "key": f"cell:{_SPAN}", "kind": "cell", "mark": "✗", "tone": "bad", "at": "03:04:05",
        "title": "[7] df = load()", "detail": "1.2 s · in w1 · +df ~x",
        "more": ["ValueError: no"],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["late", "hidden", "plan", "context", "tag", "approval", "?"])
def test_other_records_are_no_lines(kind: str) -> None:
    assert row_of({"kind": kind, "seq": 1}) is None


def test_a_cell_that_a_cell_runs_is_no_line() -> None:
    assert row_of({"kind": "cell", "span_id": "1", "parent_span_id": "0"}) is None


def test_after_the_end_a_question_hears_nothing() -> None:
    widget = QuestionWidget(question("Go?"))
    given: list[tuple[str, str]] = []
    told: list[dict[str, object]] = []
    said = {"op": "answer", "id": "A-0001", "decision": "approve", "comment": "c"}

    widget.heard(said, told.append, lambda decision, comment: given.append((decision, comment)))
    outcome = widget.end(question("ann", "approved"))
    widget.heard(said, told.append, lambda decision, comment: given.append((decision, comment)))

    assert given == [("approve", "c")]
    assert told == []
    assert repr(outcome) == "✓ A-0001 approved by ann (button): ann"
    assert widget.outcome == {"op": "ended", "text": repr(outcome), "tone": "good"}


@pytest.mark.parametrize("said", [None, 3, "answer", [], {}, {"op": ["answer"]}])
def test_what_is_no_answer_is_passed_over(said: Any) -> None:
    told: list[dict[str, object]] = []

    take_answer(said, told.append, lambda _: pytest.fail("asked for"))

    assert told == []


@pytest.mark.parametrize(
    "said",
    [{}, {"op": "rollback"}, {"op": "rollback", "id": ""}, {"op": "stop", "id": "x" * 101},
     {"op": "kill", "id": "w1"}, {"op": "stop", "id": ["w1"]}],
)  # fmt: skip
def test_what_is_no_order_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="nothing that can be pressed"):
        read_order(said)


@pytest.mark.parametrize("sure", [1, "true", None, False])
def test_only_true_is_sure(sure: object) -> None:
    assert read_order({"op": "stop", "id": "w1", "sure": sure}) == ("stop", "w1", False)
    assert read_order({"op": "stop", "id": "w1", "sure": True}) == ("stop", "w1", True)


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value.replace("\n", "")] if isinstance(value, str) else []
