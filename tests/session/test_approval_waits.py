"""An answer of the same process is handed to the cell that waits for it, to one and once."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from flow_kernel.errors import AlreadyDecided
from flow_kernel.session.approval_waits import Waits
from flow_kernel.store.contract import ApprovalRow
from tests.session.asking import SESSION, Asker, Typist, answer, parked

_ROW: Final = ApprovalRow(
    approval_id="A-0001",
    plan_id="local",
    task_id="T-0000",
    step=None,
    message="Go?",
    code_sha256=None,
    payload_sha256=None,
    approval_hash="0" * 64,
    level="advisory",
    requested_by="ann",
    requested_at="2026-11-21T00:00:00.000Z",
    session=SESSION,
)
_MOST_STATEMENTS: Final = 10


class Presser(Typist):
    """Does something once while the cell waits, as a press does."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        super().__init__(lines)
        self.press = lambda: answer(self.asker, "A-0001")
        self.asker: Asker

    def poll(self, timeout_s: float) -> str | None:
        press, self.press = self.press, lambda: None
        press()
        return super().poll(timeout_s)


@pytest.fixture
def presser() -> Presser:
    return Presser()


@pytest.fixture
def asker(tmp_path: Path, presser: Presser) -> Iterator[Asker]:
    with closing(Asker(tmp_path, typist=presser)) as opened:
        opened.cell("cell")
        presser.asker = opened
        yield opened


def notes(asker: Asker) -> list[tuple[object, object]]:
    """Status and use of each change of an approval, as the log will tell them."""
    with asker.store.write() as change:
        return [(r.fields["status"], r.fields["is_used"]) for r in change.waiting(limit=100)]


def test_an_answer_costs_one_transaction_of_ten_statements_until_the_cell_goes_on(
    asker: Asker, presser: Presser
) -> None:
    said: list[str] = []
    connection = asker.store._opened()

    def press() -> None:
        connection.set_trace_callback(said.append)
        answer(asker, "A-0001", "reject")

    presser.press = press
    row = asker.ask("Go?")
    connection.set_trace_callback(None)

    assert (row.status, row.is_used) == ("rejected", True)
    assert [sql for sql in said if sql.startswith("COMMIT")] == ["COMMIT"]
    assert len(said) <= _MOST_STATEMENTS, said
    assert notes(asker) == [("open", False), ("rejected", False), ("rejected", True)]


def test_of_two_presses_at_once_one_counts_and_its_answer_is_used_once(
    asker: Asker, presser: Presser
) -> None:
    together = threading.Barrier(2)
    refused: list[str] = []

    def decide(decision: str) -> None:
        together.wait(30)
        try:
            answer(asker, "A-0001", decision)
        except AlreadyDecided:
            refused.append(decision)

    def press() -> None:
        for thread in threads:
            thread.start()

    threads = [threading.Thread(target=decide, args=(word,)) for word in ("approve", "reject")]
    presser.press = press
    row = asker.ask("Go?")
    for thread in threads:
        thread.join()

    (late,) = refused
    status = "rejected" if late == "approve" else "approved"
    assert (row.status, row.is_used) == (status, True)
    assert notes(asker) == [("open", False), (status, False), (status, True)]


def test_an_interrupt_as_the_answer_comes_leaves_it_to_the_next_run(
    asker: Asker, presser: Presser
) -> None:
    def press() -> None:
        answer(asker, "A-0001")
        raise KeyboardInterrupt

    presser.press = press
    with pytest.raises(KeyboardInterrupt):
        asker.ask("Go?")
    after = asker.approvals.desk.get("A-0001")
    asker.cell("cell")
    again = asker.ask("Go?")

    assert (after.status, after.is_used) == ("approved", False)
    assert (again.approval_id, again.status, again.is_used) == ("A-0001", "approved", True)


def test_an_answer_to_a_question_that_nobody_waits_for_is_left_to_its_rerun(asker: Asker) -> None:
    first = parked(asker)
    answer(asker, first)

    assert not asker.approvals.desk.get(first).is_used


def test_an_answer_is_promised_to_one_cell_at_a_time() -> None:
    waits = Waits()
    rung: list[str] = []
    with (
        waits.waiting("A-0001", lambda: rung.append("a")) as a,
        waits.waiting("A-0001", lambda: rung.append("b")) as b,
        waits.promised("A-0001") as first,
        waits.promised("A-0001") as second,
        waits.promised("A-0001") as third,
        waits.promised("A-0002") as other,
    ):
        assert (first, second, third, other) == (a, b, None, None)
    assert rung == ["b", "a"]


def test_a_cell_does_not_leave_while_an_answer_is_on_its_way() -> None:
    waits = Waits()
    left: list[bool] = []
    with waits.waiting("A-0001", lambda: None) as wait:
        with waits.promised("A-0001"):  # which was too late: another one was first
            left.append(waits.leave(wait))
        left.append(waits.leave(wait))
        with waits.promised("A-0001") as none:
            assert none is None

    assert (left, wait.looks) == ([False, True], 1)


def test_a_cell_that_has_its_answer_takes_it() -> None:
    waits = Waits()
    with waits.waiting("A-0001", lambda: None) as wait:
        with waits.promised("A-0001") as promised:
            assert promised is not None
            promised.answer = _ROW
        with waits.promised("A-0001") as late:
            assert late is None

        assert not waits.leave(wait)
        assert waits.settle(wait) is _ROW


def test_an_interrupted_cell_waits_for_the_answer_that_is_on_its_way() -> None:
    waits = Waits()
    is_promised = threading.Event()

    def press() -> None:
        with waits.promised("A-0001") as wait:
            assert wait is not None
            is_promised.set()
            wait.answer = _ROW

    with waits.waiting("A-0001", lambda: None) as wait:
        thread = threading.Thread(target=press)
        thread.start()
        assert is_promised.wait(30)
        found = waits.settle(wait)
        thread.join()

    assert found is _ROW
