"""Each change of state is carried into the log of its task exactly once, whoever dies meanwhile."""

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.settings import JournalSettings
from flow_kernel.store.sqlite import SqliteStore
from tests.mounting import NAMESPACE
from tests.records.journals import SESSION, lines_of, note, read_by_hand, run_python
from tests.store.stores import WAIT_S, flow_on, outputs_of, read_some, start

_START = """
import os, signal, sys
from pathlib import Path
from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal, utc_now_ms
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.outbox import carry
home = Home(Path(sys.argv[1]))
flow = flow_of(home)
"""


def test_a_change_is_in_the_log_of_its_task_with_its_number_and_time(tmp_path: Path) -> None:
    with flow_on(tmp_path / ".flow") as flow:
        flow.update_task_context("T-0001", {"k": [1]})
        flow.tag("T-0001", "t")
        assert not flow.home.log_path("local", "T-0001").exists()
        flow.sync()
        records = read_by_hand(flow.home.log_path("local", "T-0001"))

    assert {(r["plan_id"], r["task_id"]) for r in records} == {("local", "T-0001")}
    assert [(r["change"], r["kind"]) for r in records] == [(1, "task"), (2, "context"), (3, "tag")]
    said = {name: records[1][name] for name in ("key", "value", "is_set", "author")}
    assert said == {"key": "k", "value": [1], "is_set": True, "author": "ann"}
    assert records[1]["at"] <= records[1]["timestamp"]


def test_changes_are_carried_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    with flow_on(tmp_path / ".flow") as flow:
        for n in range(5):
            flow.update_task_context("T-0001", {"k": n})
            flow.sync()
            flow.sync()
    with flow_on(tmp_path / ".flow") as flow:
        pass
    assert _carried(flow.home) == [*range(1, 8)]


def test_a_few_changes_are_carried_in_one_transaction_of_four_statements(tmp_path: Path) -> None:
    said: list[str] = []
    store = SqliteStore(tmp_path / "flow.db")
    with closing(store), closing(Journal(Home(tmp_path), SESSION)) as journal:
        with store.write() as change:
            for number in range(3):
                change.put_tag("local", "T-0001", f"t{number}", is_set=True, at=utc_now_ms())
        store._opened().set_trace_callback(said.append)

        assert Carrier(Home(tmp_path), store, journal)()

    assert [sql.split()[0] for sql in said] == ["BEGIN", "SELECT", "UPDATE", "COMMIT"]


def test_more_changes_than_fit_into_one_transaction_are_carried(tmp_path: Path) -> None:
    with flow_on(tmp_path / ".flow") as flow:
        flow.update_task_context("T-0001", {f"k{n}": n for n in range(2500)})
        flow.sync()
        assert _carried(flow.home) == [*range(1, 2502)]


@pytest.mark.parametrize("survived", range(4))
def test_a_process_that_dies_between_the_log_and_the_mark_leaves_no_double(
    tmp_path: Path, survived: int
) -> None:
    """It is killed when so many of its four changes are in the log, behind that of another one."""
    program = """
flow.update_task_context("T-0001", {"a": 1, "b": 2, "c": 3, "d": 4})
journal = Journal(home, os.urandom(16).hex())
written = 0
def append(*record):
    global written
    if written == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    written += 1
    return journal.append(*record)
class Logs:
    def numbers(self, *place):
        return ()
carry(flow.store, append, Logs())
"""
    home = _home_with_a_task(tmp_path)
    done = _run(_START + program, home, survived)
    assert done == -signal.SIGKILL
    assert _carried(home) == [*range(1, survived + 2)]
    flow_of(home).close()
    assert _carried(home) == [1, 2, 3, 4, 5]


def test_a_process_that_dies_while_another_one_knows_the_log_leaves_no_double(
    tmp_path: Path,
) -> None:
    """Who has read the log before looks at what came after; a full log is renamed meanwhile."""
    program = """
flow.update_task_context("T-0001", {sys.argv[2]: 1})
journal = Journal(home, os.urandom(16).hex())
def append(*record):
    assert journal.append(*record)
    os.kill(os.getpid(), signal.SIGKILL)
class Logs:
    def numbers(self, *place):
        return ()
carry(flow.store, append, Logs())
"""
    home = _home_with_a_task(tmp_path)
    flow = flow_of(home)
    recorder = Journal(home, SESSION, settings=JournalSettings(rotate_bytes=4000))
    for n in range(6):
        for _ in range(n):
            note(recorder, "x" * 1300, task="T-0001")
        assert _run(_START + program, home, f"k{n}") == -signal.SIGKILL
        flow.sync()
        assert _carried(home) == [*range(1, n + 3)]
    recorder.close()
    flow.close()
    assert len(home.log_files()) > 2


def test_two_processes_that_carry_at_once_carry_nothing_twice(tmp_path: Path) -> None:
    program = """
print("ready", flush=True)
sys.stdin.readline()
for n in range(100):
    flow.update_task_context("T-0001", {sys.argv[2]: n})
    if n % 3 == 0:
        flow.sync()
flow.close()
"""
    home = _home_with_a_task(tmp_path)
    outputs_of([start("-c", _START + program, home.root, key) for key in "abcd"], said=b"\n")
    assert _carried(home) == [*range(1, 402)]
    per_key = [(r["key"], r["value"]) for r in _records(home) if r["kind"] == "context"]
    for key in "abcd":
        assert [value for name, value in per_key if name == key] == [*range(100)]


def test_processes_killed_while_they_carry_leave_each_change_once(tmp_path: Path) -> None:
    """At whatever moment: after the first few lines that reach the log."""
    program = """
while True:
    flow.update_task_context("T-0001", {"k": os.getpid()})
    flow.sync()
    os.write(1, b"x")
"""
    home = _home_with_a_task(tmp_path)
    for n in range(6):
        process = start("-c", _START + program, home.root)
        read_some(process, 1 + 7 * n)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=WAIT_S)
    flow_of(home).close()
    flow = flow_of(home)
    with flow.store.write() as view:
        count = len(view.context_history("local", "T-0001", "k"))
        assert view.waiting(limit=1) == []
    flow.close()
    assert _carried(home) == [*range(1, count + 2)]


def test_a_forked_child_leaves_the_changes_to_those_who_can_write_the_log(tmp_path: Path) -> None:
    """The numbers of the records are its parent's: at its end it carries and marks nothing."""
    program = """
flow.update_task_context("T-0001", {"a": 1})
flow.sync()
pid = os.fork()
if not pid:
    flow.update_task_context("T-0001", {"child": 1})
    flow.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
flow.update_task_context("T-0001", {"b": 1})
flow.close()
"""
    home = _home_with_a_task(tmp_path)
    run_python(_START + program, home.root)
    assert _carried(home) == [1, 2, 3, 4]


_READ_ONLY = """
import subprocess
def mount(*options):
    subprocess.run(["mount", *options, home.log_dir], check=True)
mount("--bind", home.log_dir)
mount("-o", "remount,ro,bind")
for n in range(3):
    flow.update_task_context("T-0001", {"k": n})
    flow.sync()
"""


def test_changes_wait_while_the_logs_cannot_be_written(mounts: Path) -> None:
    """One record waits in the memory of the journal as well, and is not written twice."""
    program = """
mount("-o", "remount,rw,bind")
flow.update_task_context("T-0001", {"k": 3})
flow.close()
"""
    home = _home_with_a_task(mounts)
    run_python(_START + _READ_ONLY + program, home.root, under=NAMESPACE)
    assert _carried(home) == [1, 2, 3, 4, 5]


def test_changes_that_a_process_could_not_write_are_carried_by_the_next(mounts: Path) -> None:
    home = _home_with_a_task(mounts)
    run_python(_START + _READ_ONLY + "os._exit(0)", home.root, under=NAMESPACE)
    assert _carried(home) == [1]
    flow_of(home).close()
    assert _carried(home) == [1, 2, 3, 4]


def test_a_log_that_cannot_be_read_keeps_the_changes_waiting(tmp_path: Path) -> None:
    """A file stands where the folder of the logs belongs, for a while."""
    home = _home_with_a_task(tmp_path)
    home.log_dir.rename(tmp_path / "away")
    home.log_dir.touch()
    with flow_on(home.root) as flow:
        flow.update_task_context("T-0001", {"k": 1})
        flow.sync()
        assert flow.get_task_context("T-0001") == {"k": 1}
        home.log_dir.unlink()
        (tmp_path / "away").rename(home.log_dir)
        flow.sync()
        assert _carried(home) == [1, 2, 3]


def test_a_damaged_line_of_the_log_is_carried_again_and_no_other(tmp_path: Path) -> None:
    """A kill between the log and the mark, and a flipped byte: the change is in no log any more."""
    home = _home_with_a_task(tmp_path)
    flow = flow_of(home)
    flow.update_task_context("T-0001", {"a": 1, "b": 2})
    _carry_without_mark(home, flow)
    log = home.log_path("local", "T-0001")
    log.write_bytes(log.read_bytes().replace(b'"key":"a"', b'"key":"A"'))
    flow.close()
    numbers = [json.loads(line)["change"] for line in lines_of(log) if b'"A"' not in line]
    assert numbers == [1, 3, 2]


# -- inside ----------------------------------------------------------------------------------------


def _home_with_a_task(folder: Path) -> Home:
    with flow_on(folder / ".flow") as flow:
        pass
    return flow.home


def _carry_without_mark(home: Home, flow: Flow) -> None:
    """Write the changes that wait into the log, as a process does that dies then."""
    journal = Journal(home, SESSION)
    with flow.store.write() as change:
        for row in change.waiting(limit=99):
            said = {"store": row.store_id, "at": row.at}
            fields = {"change": row.number, **said, **row.fields}
            journal.append(row.kind, row.plan_id, row.task_id, fields)
    journal.close()


def _run(program: str, home: Home, *arguments: object) -> int:
    done = subprocess.run(
        [sys.executable, "-c", program, home.root, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        timeout=WAIT_S,
        check=False,
    )
    return done.returncode


def _records(home: Home) -> list[dict[str, object]]:
    return [record for path in home.log_files() for record in read_by_hand(path)]


def _carried(home: Home) -> list[object]:
    """The numbers of the changes in all logs, in their order."""
    return [record["change"] for record in _records(home) if "change" in record]
