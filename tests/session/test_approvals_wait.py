"""Cells that wait for an answer: of another process or thread, of the box, of the clock."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flow_kernel.records.journal import utc_now_ms
from tests.session.asking import PERSON, Asker, Typist, answer, parked

OTHER_PROCESS = """
import os, signal, sys, time
from pathlib import Path
from flow_kernel.errors import AlreadyDecided
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.store.sqlite import SqliteStore

folder, deed, name = sys.argv[1:]
store = SqliteStore(Path(folder) / "flow.db")
desk = ApprovalDesk(store, now=utc_now_ms, redact=str)

def open_ids():
    while not (found := [row.approval_id for row in desk.list(status="open")]):
        time.sleep(0.001)
    return found

if deed == "interrupt":
    open_ids()
    os.kill(os.getppid(), signal.SIGINT)
elif deed == "race":
    ids = open_ids()
    print("ready", flush=True)
    sys.stdin.readline()
    for approval_id in ids:
        try:
            desk.decide(approval_id, "approve", by=name, channel="cli")
            print("won", approval_id)
        except AlreadyDecided as lost:
            print("lost", approval_id, lost.decided_by)
else:
    desk.decide(open_ids()[0], deed, by=name, channel="cli")
store.close()
"""


@contextmanager
def other_process(folder: Path, deed: str, name: str = "bob") -> Iterator["subprocess.Popen[str]"]:
    """A process that does something as soon as a question is open."""
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder), deed, name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
            process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Asker]:
    """A session with the clock of the machine."""
    with closing(Asker(tmp_path, now=utc_now_ms)) as opened:
        opened.cell("cell")
        yield opened


def test_the_answer_of_another_process_ends_the_wait(live: Asker, tmp_path: Path) -> None:
    with other_process(tmp_path, "reject"):
        row = live.ask("Go?", park=False)

    assert (row.status, row.decided_by, row.is_used) == ("rejected", "bob", True)
    assert live.carried == 2  # the question before the wait, its answer after it


def test_of_two_processes_that_answer_at_once_exactly_one_wins_each_question(
    live: Asker, tmp_path: Path
) -> None:
    ids = {parked(live, f"{number}?") for number in range(40)}

    with (
        other_process(tmp_path, "race", "bob") as bob,
        other_process(tmp_path, "race", "eve") as eve,
    ):
        for process in (bob, eve):
            assert process.stdout is not None
            process.stdout.readline()
        told = {}
        for process in (bob, eve):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for name, process in (("bob", bob), ("eve", eve)):
            assert process.stdout is not None
            told[name] = [process.stdout.readline().split() for _ in ids]

    winners = {row.approval_id: row.decided_by for row in live.approvals.desk.list()}
    assert winners.keys() == ids
    for name, lines in told.items():
        assert [approval_id for word, approval_id, *_ in lines if word == "won"] == sorted(
            approval_id for approval_id, winner in winners.items() if winner == name
        )
        assert {who for word, _, *first in lines if word == "lost" for who in first} <= (
            {"bob", "eve"} - {name}
        )


def test_what_is_typed_into_the_box_of_the_cell_is_the_answer(tmp_path: Path) -> None:
    typist = Typist(["perhaps", " YES "])
    with closing(Asker(tmp_path, typist=typist)) as asker:
        asker.cell("cell")
        row = asker.ask("Go?")

    assert (row.status, row.decided_by, row.channel) == ("approved", PERSON, "stdin")
    assert typist.prompts == [
        "A-0001: yes, no or skip? ",
        "Please type yes, no or skip. A-0001: yes, no or skip? ",
    ]


def test_a_box_that_nobody_types_into_does_not_keep_the_answer_of_another_process(
    tmp_path: Path,
) -> None:
    with closing(Asker(tmp_path, now=utc_now_ms, typist=Typist([]))) as asker:
        asker.cell("cell")
        with other_process(tmp_path, "approve"):
            row = asker.ask("Go?")

    assert (row.status, row.channel) == ("approved", "cli")


def test_an_answer_from_another_thread_of_this_process_ends_the_wait(tmp_path: Path) -> None:
    class Button(Typist):
        """Answers past the box, as code of another thread does."""

        def poll(self, timeout_s: float) -> None:
            asker.approvals.decide("A-0001", "approve", by="ann", channel="button")

    with closing(Asker(tmp_path, typist=Button([]))) as asker:
        asker.cell("cell")
        assert asker.ask("Go?").channel == "button"


def test_the_end_of_the_time_ends_the_wait(live: Asker) -> None:
    row = live.ask("Go?", timeout_s=0.05, on_timeout="skip", park=False)

    assert (row.status, row.channel, row.is_used) == ("skipped", "timeout", True)


def test_ctrl_c_ends_the_wait_and_cancels_the_question(live: Asker, tmp_path: Path) -> None:
    with other_process(tmp_path, "interrupt"), pytest.raises(KeyboardInterrupt):
        live.ask("Go?", park=False)

    (row,) = live.approvals.desk.list()
    assert (row.status, row.channel) == ("cancelled", "interrupt")
    live.cell("cell")
    assert parked(live) == "A-0002"


def test_where_one_answer_meets_two_waiting_cells_the_second_asks_again(tmp_path: Path) -> None:
    class Rival(Typist):
        """Types yes, and sees to it that another session uses the answer first."""

        def poll(self, timeout_s: float) -> str | None:
            if len(self.prompts) == 1:
                answer(other, "A-0001")
                assert other.ask("Go?", park=True).approval_id == "A-0001"
                self.lines = ["no"]
                return None
            return super().poll(timeout_s)

    with closing(Asker(tmp_path)) as other, closing(Asker(tmp_path, typist=Rival([]))) as asker:
        for session in (asker, other):
            session.cell("cell")
        row = asker.ask("Go?")

    assert (row.approval_id, row.status) == ("A-0002", "rejected")
