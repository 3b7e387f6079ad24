"""Answers that meet several cells, an interrupt or an error at the worst moment are not lost."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.session.approval_parts import Wish
from flow_kernel.session.approval_waits import Waits
from flow_kernel.store.sqlite import SqliteStore
from flow_kernel.store.sqlite_rows import SqliteTransaction
from tests.session.asking import PERSON, Asker, Typist, answer, parked

if TYPE_CHECKING:
    from flow_kernel.store.contract import ApprovalRow

_WISH: Final = Wish(message="Go?", source="cell", ordinal=1)


class Room(Typist):
    """The boxes of several cells; each has looked at its question before it polls."""

    def __init__(self) -> None:
        super().__init__([])
        self.polled: set[int] = set()
        self.changed = threading.Condition()
        self.interrupt: int | None = None

    def poll(self, timeout_s: float) -> str | None:
        with self.changed:
            self.polled.add(threading.get_ident())
            self.changed.notify_all()
            if self.interrupt == threading.get_ident():
                raise KeyboardInterrupt
            self.changed.wait(timeout_s)
        return None

    def wait_for(self, count: int) -> None:
        """Until so many cells wait."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.polled) == count, timeout=30)


class Cell(threading.Thread):
    """A cell in a thread of its own, as in a subshell, that asks and waits."""

    def __init__(self, asker: Asker) -> None:
        super().__init__(daemon=True)
        self._approvals = asker.approvals
        self.row: ApprovalRow | None = None
        self.start()

    def run(self) -> None:
        try:
            self.row = self._approvals.request(_WISH)
        except KeyboardInterrupt:
            pass


def test_an_answer_that_one_cell_gets_is_seen_by_the_other_that_asks_the_same(
    tmp_path: Path,
) -> None:
    room = Room()
    with closing(Asker(tmp_path, typist=room)) as asker:
        cells = [Cell(asker), Cell(asker)]
        room.wait_for(2)
        answer(asker, "A-0001")
        asker.wait_for_event("need_approval", 3)  # the slower one asks for an answer of its own
        answer(asker, "A-0002", "reject")
        for cell in cells:
            cell.join(30)

    found = sorted((cell.row.approval_id, cell.row.status) for cell in cells if cell.row)
    assert found == [("A-0001", "approved"), ("A-0002", "rejected")]


def test_a_cell_that_an_interrupt_ends_does_not_leave_the_other_that_asks_the_same_waiting(
    tmp_path: Path,
) -> None:
    room = Room()
    with closing(Asker(tmp_path, typist=room)) as asker:
        stopped, other = Cell(asker), Cell(asker)
        room.wait_for(2)
        room.interrupt = stopped.ident
        for cell in (stopped, other):
            cell.join(30)

    assert stopped.row is None
    assert other.row is not None
    assert (other.row.approval_id, other.row.status) == ("A-0001", "cancelled")


class _Stopped(SqliteStore):
    """Something stops the thread behind one commit; a real signal cannot be timed so."""

    stops: BaseException | None = None
    is_armed = False

    def write(self, *, is_durable: bool = False) -> AbstractContextManager[SqliteTransaction]:
        return self._stopped(super().write(is_durable=is_durable))

    @contextmanager
    def _stopped(
        self, writing: AbstractContextManager[SqliteTransaction]
    ) -> Iterator[SqliteTransaction]:
        with writing as change:
            yield change
        stops, self.stops = self.stops, None if self.is_armed else self.stops
        if self.is_armed and stops is not None:
            raise stops


class _Alarm(Exception):
    """What a handler of a signal of the user's raises."""


class Yes(Typist):
    """Types yes, and from then on the store is armed."""

    store: _Stopped

    def poll(self, timeout_s: float) -> str | None:
        self.store.is_armed = True
        return "yes, as agreed"


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), _Alarm()])
def test_what_stops_a_cell_right_behind_the_commit_of_its_answer_leaves_it_to_the_next_run(
    tmp_path: Path, stop: BaseException
) -> None:
    typist = Yes([])
    with closing(Asker(tmp_path, typist=typist, kind=_Stopped)) as asker:
        assert isinstance(asker.store, _Stopped)
        typist.store = asker.store
        asker.store.stops = stop
        asker.cell("cell")
        with pytest.raises(type(stop)):
            asker.ask("Go?")
        after = asker.approvals.desk.get("A-0001")
        asker.cell("cell")
        again = asker.ask("Go?")

    assert (after.status, after.is_used) == ("approved", False)
    assert (again.approval_id, again.is_used, again.comment) == ("A-0001", True, "as agreed")


def test_an_interrupt_right_behind_the_commit_of_a_question_cancels_it(tmp_path: Path) -> None:
    with closing(Asker(tmp_path, kind=_Stopped)) as asker:
        assert isinstance(asker.store, _Stopped)
        asker.store.stops, asker.store.is_armed = KeyboardInterrupt(), True
        asker.cell("cell")
        with pytest.raises(KeyboardInterrupt):
            asker.ask("Go?", park=False)
        (row,) = asker.approvals.desk.list()

    assert (row.status, row.channel, row.decided_by) == ("cancelled", "interrupt", PERSON)
    assert [name for name, _ in asker.events] == ["approval_decided"]


def test_a_question_that_never_was_takes_none_of_its_number_back(tmp_path: Path) -> None:
    with closing(Asker(tmp_path)) as asker:
        asker.cell("cell")
        desk, there = asker.approvals.desk, parked(asker)
        never = replace(desk.get(there), session="07" * 16)
        taken = [
            desk.take_back_asked(each, by=PERSON, channel="interrupt")
            for each in (never, replace(never, approval_id="A-0007"))
        ]

        assert (taken, desk.get(there).status) == ([False, False], "open")


def test_an_answer_that_another_cell_has_used_is_not_given_back_by_an_interrupt(
    tmp_path: Path,
) -> None:
    class Rival(Typist):
        def poll(self, timeout_s: float) -> str | None:
            answer(other, "A-0001")
            assert other.ask("Go?", park=True).is_used
            raise KeyboardInterrupt

    with closing(Asker(tmp_path)) as other, closing(Asker(tmp_path, typist=Rival([]))) as asker:
        for session in (asker, other):
            session.cell("cell")
        with pytest.raises(KeyboardInterrupt):
            asker.ask("Go?")

        assert asker.approvals.desk.get("A-0001").is_used


def test_a_forked_child_has_none_of_the_cells_that_wait_nor_the_lock_of_another_thread() -> None:
    def keep() -> None:
        with waits._lock:
            is_kept.set()
            is_over.wait(30)

    waits = Waits()
    is_kept, is_over = threading.Event(), threading.Event()
    thread = threading.Thread(target=keep)
    with waits.waiting("A-0001", lambda: None):
        thread.start()
        try:
            assert is_kept.wait(30)
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)  # a child that hangs ends
                with waits.promised("A-0001") as wait:
                    os._exit(0 if wait is None else 1)
            ended = os.waitpid(pid, 0)[1]
        finally:
            is_over.set()
            thread.join()

        with waits.promised("A-0001") as wait:
            assert (ended, wait is not None) == (0, True)


class _Impatient(SqliteStore):
    """Gives up soon, as the one beside the cells does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, wait_s=0.05)


def test_an_answer_that_the_store_refuses_leaves_the_cell_waiting_for_the_next_one(
    tmp_path: Path,
) -> None:
    refused: list[str] = []

    class Presser(Typist):
        def poll(self, timeout_s: float) -> str | None:
            if not refused:
                with closing(SqliteStore(tmp_path / "flow.db")) as other, other.write():
                    with pytest.raises(StoreError) as error:
                        answer(asker, "A-0001", "reject")
                    refused.append(error.value.message)
                return None
            return "yes"

    with closing(Asker(tmp_path, typist=Presser([]), kind=_Impatient)) as asker:
        asker.cell("cell")
        row = asker.ask("Go?")

    assert refused == [f"another process keeps {tmp_path}/flow.db locked; nothing was changed"]
    assert (row.approval_id, row.status, row.is_used) == ("A-0001", "approved", True)
