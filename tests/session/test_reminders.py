"""Reminders of open questions: due ones once, by one process, whatever the clock does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flow_kernel.errors import UsageError
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.reminder_rules import look, next_look_s
from flow_kernel.session.reminders import RemindCommand, Reminders
from flow_kernel.store.sqlite import SqliteStore
from tests.session.asking import Asker, Clock, answer, parked

CLAIMER = """
import os, signal, sys
from pathlib import Path
from flow_kernel.session.reminders import Reminders
from flow_kernel.store.sqlite import SqliteStore

folder, at, deed = sys.argv[1:]
store = SqliteStore(Path(folder) / "flow.db")
def tell(row):
    if deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    print(row.approval_id, row.reminded, flush=True)
print("ready", flush=True)
sys.stdin.readline()
Reminders(store, now=lambda: at, tell=tell).give_due()
store.close()
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asker(tmp_path: Path, clock: Clock) -> Iterator[Asker]:
    with closing(Asker(tmp_path, now=clock)) as opened:
        opened.approvals.reminders.close()  # its own thread would take turns with the test
        opened.cell("cell")
        yield opened


def claimer(folder: Path, at: str, deed: str = "tell") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(folder), at, deed],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def reminders(asker: Asker, clock: Clock, told: list[str]) -> Reminders:
    return Reminders(asker.store, now=clock, tell=lambda row: told.append(row.approval_id))


def test_a_reminder_is_given_each_interval_until_there_is_an_answer(
    asker: Asker, clock: Clock
) -> None:
    told: list[str] = []
    parked(asker, remind_s=60)
    giving = reminders(asker, clock, told)

    for seconds in (59, 60, 60, 119, 120, 180):
        clock.seconds = seconds
        giving.give_due()
    answer(asker, "A-0001")
    clock.seconds = 1000
    giving.give_due()

    row = asker.approvals.desk.get("A-0001")
    assert (told, row.reminded, row.next_remind_at) == (["A-0001"] * 3, 3, None)


@pytest.mark.parametrize("jump", [80_000, -3600])
def test_a_jump_of_the_clock_gives_one_reminder_and_no_flood_or_silence(
    asker: Asker, clock: Clock, jump: int
) -> None:
    told: list[str] = []
    clock.seconds = start = 4000
    parked(asker, remind_s=60)
    giving = reminders(asker, clock, told)

    clock.seconds = start + jump
    for _ in range(3):
        giving.give_due()
    first = len(told)
    clock.seconds += 60
    giving.give_due()

    assert (first, len(told)) == ((1, 2) if jump > 0 else (0, 1))


def test_of_many_processes_exactly_one_gives_a_reminder(asker: Asker, tmp_path: Path) -> None:
    parked(asker, remind_s=5)
    processes = [claimer(tmp_path, "2026-11-21T00:01:00.000Z") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=30)[0] for process in processes]

    assert sorted(told) == ["", "", "", "A-0001 1\n"]


def test_after_a_kill_of_the_one_that_claimed_it_another_gives_the_next(
    asker: Asker, clock: Clock, tmp_path: Path
) -> None:
    parked(asker, remind_s=60)
    dying = claimer(tmp_path, "2026-11-21T00:01:00.000Z", "die")
    dying.communicate("go\n", timeout=30)
    told: list[str] = []

    for seconds in (60, 119, 120):
        clock.seconds = seconds
        reminders(asker, clock, told).give_due()

    row = asker.approvals.desk.get("A-0001")
    assert (dying.returncode, told, row.reminded) == (-signal.SIGKILL, ["A-0001"], 2)


def test_a_session_reminds_by_itself_while_it_waits_for_nothing(tmp_path: Path) -> None:
    with closing(Asker(tmp_path, now=utc_now_ms)) as asker:
        asker.cell("cell")
        parked(asker, remind_s=1)
        asker.wait_for_event("approval_reminder")
        answer(asker, "A-0001")

    reminded = [fields for name, fields in asker.events if name == "approval_reminder"]
    assert reminded[0] == {"id": "A-0001", "msg": "Go?", "count": 1}


def test_the_end_of_the_time_is_written_down_by_whoever_looks(asker: Asker, clock: Clock) -> None:
    parked(asker, timeout_s=30, remind_s=20)

    clock.seconds = 40
    assert reminders(asker, clock, []).give_due() == []

    with asker.store.read() as view:
        row = view.approval("A-0001")
    assert row is not None
    assert (row.status, row.channel, row.next_remind_at) == ("expired", "timeout", None)


def test_the_command_has_the_id_and_the_message_and_nothing_of_ours(
    asker: Asker, tmp_path: Path
) -> None:
    parked(asker, "Go; touch hacked?", remind_s=60)
    row = asker.approvals.desk.get("A-0001")
    script = (
        "import os, sys\n"
        "said = os.environ['FLOW_APPROVAL_ID'] + ' ' + os.environ['FLOW_APPROVAL_MESSAGE']\n"
        f"open({str(tmp_path / 'said')!r}, 'w').write(said + repr(sys.stdin.read())"
        " + repr(sorted(os.listdir('/proc/self/fd'))))\n"
    )

    code = RemindCommand([sys.executable, "-c", script], dict(os.environ))(row)

    assert code == 0
    assert (tmp_path / "said").read_text() == (
        "A-0001 Go; touch hacked?''['0', '1', '2', '3', '4']"
    )


@pytest.mark.parametrize("argv", [["/no/such/program"], [sys.executable, "-c", "input(); 1/0"]])
def test_a_command_that_fails_harms_nothing(asker: Asker, argv: list[str]) -> None:
    parked(asker, remind_s=60)

    assert RemindCommand(argv, {})(asker.approvals.desk.get("A-0001")) in (None, 1)


def test_a_command_that_does_not_end_is_killed(asker: Asker) -> None:
    parked(asker, remind_s=60)
    forever = [sys.executable, "-c", "import time; time.sleep(600)"]

    command = RemindCommand(forever, {}, timeout_s=0.2)

    assert command(asker.approvals.desk.get("A-0001")) is None


@pytest.mark.parametrize("remind_s", [0, 0.5, -1, float("nan"), float("inf")])
def test_an_interval_that_would_be_a_flood_is_refused(asker: Asker, remind_s: float) -> None:
    with pytest.raises(UsageError, match="reminder"):
        asker.ask("Go?", park=True, remind_s=remind_s)

    assert asker.approvals.desk.list() == []


def test_nothing_is_due_where_nothing_is_asked() -> None:
    assert look([], at="2026-11-21T00:00:00.000Z").changed == ()
    assert next_look_s([], at="2026-11-21T00:00:00.000Z") is None


def test_a_store_is_left_alone_while_nothing_is_due(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "flow.db")
    with closing(Asker(tmp_path)) as asker:
        asker.cell("cell")
        parked(asker, remind_s=60)
        before = store.version()
        assert Reminders(asker.store, now=Clock(), tell=print).give_due() == []
        assert store.version() == before
        row = asker.approvals.desk.get("A-0001")
        assert replace(row, reminded=0) == row
    store.close()
