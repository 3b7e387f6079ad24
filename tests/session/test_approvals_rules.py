"""Approvals decided on paper: what an answer is bound to, and the states of a question."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flow_kernel.errors import AlreadyDecided, ApprovalPending, UsageError
from flow_kernel.session import approval_terms as terms
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.reminders import Reminders
from flow_kernel.store.contract import ApprovalRow
from tests.session.asking import Asker, Clock

AT = "2026-11-21T12:00:00.000Z"
LATER = "2026-11-21T12:00:09.999Z"
TOO_LATE = "2026-11-21T12:00:10.000Z"


def question_of(**changes: object) -> rules.Question:
    question = rules.Question(
        plan_id="local",
        task_id="T-0001",
        step="load",
        message="Delete 3 files?",
        code_sha256="c" * 64,
        payload_sha256=None,
        approval_hash="a" * 64,
        timeout_s=10,
        on_timeout="reject",
        requested_by="agent",
        session="5e" * 16,
    )
    return replace(question, **changes)  # type: ignore[arg-type]  # the fields of a question


def row_of(**changes: object) -> ApprovalRow:
    return replace(rules.asked(question_of(), "A-0001", at=AT), **changes)  # type: ignore[arg-type]  # the fields of a row


def decided(row: ApprovalRow, decision: str = "approve", *, at: str = LATER) -> ApprovalRow:
    return rules.decide(row, decision, by="ann", channel="cli", comment="fine", at=at)


def test_the_hash_is_that_of_the_canonical_json_of_code_message_payload_and_ordinal() -> None:
    text = '{"code_sha256":"cc","message":"Löschen?","ordinal":2,"payload":{"a":[1,2.5],"b":null}}'

    found = terms.approval_hash(
        code_sha256="cc", message="Löschen?", payload={"b": None, "a": [1, 2.5]}, ordinal=2
    )

    assert found == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("change", ["code_sha256", "message", "payload", "ordinal"])
def test_each_part_of_what_is_approved_changes_the_hash(change: str) -> None:
    bound: dict[str, object] = {"code_sha256": "c", "message": "m", "payload": None, "ordinal": 1}
    other = {"code_sha256": "d", "message": "n", "payload": 0, "ordinal": 2}

    hashes = {
        terms.approval_hash(**parts)  # type: ignore[arg-type]  # one of them changed
        for parts in (bound, {**bound, change: other[change]})
    }

    assert len(hashes) == 2


@pytest.mark.parametrize(
    "payload", [{1: "a"}, {"a": {1}}, float("nan"), [float("inf")], object(), {"a": b""}, 2**70]
)
def test_a_payload_that_is_not_json_is_refused(payload: object) -> None:
    with pytest.raises(UsageError, match="the payload is not JSON"):
        terms.payload_hash(payload)


@pytest.mark.parametrize("message", ["", "  \n", 7, "x" * 5001])
def test_a_message_that_nobody_can_read_is_refused(message: object) -> None:
    with pytest.raises(UsageError, match="message"):
        terms.checked_message(message)


def test_any_other_message_can_be_stored() -> None:
    assert terms.checked_message(" a\0b \ud800 \u202e ").encode() == b"a\\x00b \\ud800 \xe2\x80\xae"


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), 1e12])
def test_a_timeout_that_is_no_time_is_refused(timeout_s: float) -> None:
    with pytest.raises(UsageError, match="timeout"):
        terms.checked_terms(timeout_s, "reject")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("10m", 600), (" 2H ", 7200), ("3d", 259200)]
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert terms.duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "1w", "1e3", "\u0661m", "1 m m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        terms.duration_s(text)


def test_an_answer_says_who_when_how_and_why_and_changes_nothing_else() -> None:
    assert decided(row_of()) == row_of(
        status="approved", decided_by="ann", decided_at=LATER, channel="cli", comment="fine"
    )


@pytest.mark.parametrize("second", ["approve", "reject", "skip"])
def test_the_second_answer_is_refused_and_told_who_was_first(second: str) -> None:
    with pytest.raises(AlreadyDecided) as refused:
        decided(decided(row_of(), "reject"), second)

    assert refused.value.message == (
        f"A-0001 was already rejected by ann at {LATER} (cli); nothing was changed"
    )
    assert (refused.value.decided_by, refused.value.exit_code) == ("ann", 1)


def test_an_answer_at_the_end_of_the_time_or_after_it_is_refused() -> None:
    with pytest.raises(AlreadyDecided, match=f"A-0001 expired at {TOO_LATE}; reject stands"):
        decided(row_of(), at=TOO_LATE)


def test_an_answer_that_was_used_is_refused_to_everybody_else() -> None:
    used = rules.use(decided(row_of()))

    assert used.is_used
    for again in (rules.use, decided):
        with pytest.raises(AlreadyDecided, match=r"already approved by ann .* and was used"):
            again(used)
    assert not rules.matches(used, question_of())


@pytest.mark.parametrize("by", ["", " \n "])
def test_a_decision_without_a_name_is_refused(by: str) -> None:
    with pytest.raises(UsageError, match="--as NAME"):
        rules.decide(row_of(), "approve", by=by, channel="cli", comment="", at=AT)


@pytest.mark.parametrize(
    ("on_timeout", "status"), [("reject", "expired"), ("approve", "approved"), ("skip", "skipped")]
)
def test_the_end_of_the_time_is_the_outcome_that_the_question_named(
    on_timeout: str, status: str
) -> None:
    over = rules.expire(row_of(on_timeout=on_timeout), at=TOO_LATE)

    assert (over.status, over.decided_by, over.channel) == (status, "timeout", "timeout")


@pytest.mark.parametrize(
    "changes", [{"approval_hash": "b" * 64}, {"task_id": "T-0002"}, {"plan_id": "study"}]
)
def test_an_answer_fits_no_other_hash_task_or_plan(changes: dict[str, object]) -> None:
    assert rules.matches(decided(row_of()), question_of())
    assert not rules.matches(decided(row_of()), question_of(**changes))


@pytest.mark.parametrize(
    "changes", [{"timeout_s": 11}, {"timeout_s": None}, {"on_timeout": "approve"}]
)
def test_other_terms_take_an_answer_but_neither_an_open_question_nor_the_end_of_its_time(
    changes: dict[str, object],
) -> None:
    question = question_of(**changes)

    assert rules.matches(decided(row_of()), question)
    assert not rules.matches(row_of(), question)
    assert not rules.matches(rules.expire(row_of(), at=TOO_LATE), question)
    assert rules.resume([row_of()], question, at=AT).changed == (
        row_of(status="cancelled", decided_by="agent", decided_at=AT, channel="replaced"),
    )


@dataclass
class Known:
    """What the model knows of one question."""

    key: tuple[str, str, str]
    terms: tuple[int | None, str]
    asked_s: int
    status: str = "open"
    is_used: bool = False
    is_timeout: bool = False
    remind_s: int | None = None
    next_s: int = 0


class ApprovalMachine(RuleBasedStateMachine):
    """Sessions ask, people answer, time passes and processes end, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fk"))
        self.clock = Clock()
        self.clock.seconds = 40_000
        self._open()
        self.known: list[Known] = []

    def teardown(self) -> None:
        self._no_answer_was_used_twice()
        self.asker.close()
        shutil.rmtree(self.folder)

    @rule(
        code=st.sampled_from("ab"),
        message=st.sampled_from("mn"),
        task_id=st.sampled_from(["T-0000", "T-0001"]),
        terms=st.sampled_from([(None, "reject"), (5, "reject"), (5, "approve"), (9, "skip")]),
        remind_s=st.sampled_from([None, 2, 4]),
    )
    def run_a_cell(
        self,
        code: str,
        message: str,
        task_id: str,
        terms: tuple[int | None, str],
        remind_s: int | None,
    ) -> None:
        expected = self._expected((code, message, task_id), terms, remind_s)

        self.asker.cell(code, task_id=task_id)
        assert self._found(message, terms, remind_s) == expected

    @rule()
    def run_a_cell_that_asks_twice(self) -> None:
        used: list[Known] = []
        self.asker.cell("twice")
        for message in "mn":
            expected = self._expected(("twice", message, "T-0000"), (None, "reject"), None)
            assert self._found(message, (None, "reject"), None) == expected
            if expected[1] == "open":
                for known in used:
                    known.is_used = False
                return
            used.append(self.known[int(expected[0][2:]) - 1])

    @rule()
    def somebody_looks_for_reminders(self) -> None:
        due, now = [], self.clock.seconds
        for number, known in enumerate(self.known, 1):
            if known.status == "open" and self._status(known) != "open":
                self._settle(known)
            elif known.status == "open" and known.remind_s is not None:
                if now >= known.next_s:
                    due.append(f"A-{number:04d}")
                    known.next_s = now + known.remind_s
                known.next_s = min(known.next_s, now + known.remind_s)

        reminders = Reminders(self.asker.store, now=self.clock, tell=print)
        assert [row.approval_id for row in reminders.give_due()] == due

    @precondition(lambda self: self.known)
    @rule(data=st.data(), decision=st.sampled_from(["approve", "reject", "skip"]))
    def answer(self, data: st.DataObject, decision: str) -> None:
        number = data.draw(st.integers(1, len(self.known)))
        known = self.known[number - 1]
        is_open = self._status(known) == "open"
        self._settle(known)

        try:
            self.asker.approvals.decide(f"A-{number:04d}", decision, by="ann", channel="cli")
        except AlreadyDecided:
            assert not is_open
        else:
            assert is_open
            known.status = {"approve": "approved", "reject": "rejected", "skip": "skipped"}[
                decision
            ]

    @rule(seconds=st.integers(-6, 6))
    def time_passes_or_the_clock_is_set(self, seconds: int) -> None:
        self.clock.seconds += seconds

    @rule()
    def another_process_goes_on(self) -> None:
        self.asker.close()
        self._open()

    @invariant()
    def the_store_says_what_the_model_knows(self) -> None:
        found = [
            (row.approval_id, row.status, row.is_used) for row in self.asker.approvals.desk.list()
        ]

        assert found == [
            (f"A-{number:04d}", self._status(known), known.is_used)
            for number, known in enumerate(self.known, 1)
        ]

    def _open(self) -> None:
        self.asker = Asker(self.folder, now=self.clock)
        self.asker.approvals.reminders.close()  # its own thread would take turns with the rules

    def _found(
        self, message: str, terms: tuple[int | None, str], remind_s: int | None
    ) -> tuple[str, str]:
        try:
            row = self.asker.ask(
                message, timeout_s=terms[0], on_timeout=terms[1], remind_s=remind_s, park=True
            )
            return row.approval_id, row.status
        except ApprovalPending as pending:
            return pending.approval_id, "open"

    def _expected(
        self, key: tuple[str, str, str], terms: tuple[int | None, str], remind_s: int | None
    ) -> tuple[str, str]:
        for number, known in enumerate(self.known, 1):
            if known.key != key or known.is_used or known.status == "cancelled":
                continue
            if (known.status == "open" or known.is_timeout) and known.terms != terms:
                known.status = "cancelled" if known.status == "open" else known.status
                continue
            self._settle(known)
            known.is_used = known.status != "open"
            return f"A-{number:04d}", known.status
        now = self.clock.seconds
        new = Known(key=key, terms=terms, asked_s=now, remind_s=remind_s)
        new.next_s = now + (remind_s or 0)
        self.known.append(new)
        return f"A-{len(self.known):04d}", "open"

    def _status(self, known: Known) -> str:
        timeout_s, outcome = known.terms
        if known.status != "open" or timeout_s is None:
            return known.status
        if self.clock.seconds < known.asked_s + timeout_s:
            return "open"
        return {"reject": "expired", "approve": "approved", "skip": "skipped"}[outcome]

    def _settle(self, known: Known) -> None:
        status = self._status(known)
        known.is_timeout |= status != known.status
        known.status = status

    def _no_answer_was_used_twice(self) -> None:
        with self.asker.store.write() as change:
            notes = [row.fields for row in change.waiting(limit=10_000)]
        before: dict[object, object] = {}
        for note in notes:
            assert not (note["is_used"] and before.get(note["approval_id"]))
            before[note["approval_id"]] = note["is_used"]


TestApprovalMachine = ApprovalMachine.TestCase
TestApprovalMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
